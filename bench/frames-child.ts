import { parseArgs } from 'node:util';
import { CLK, CLOCK_WORDS, loadNative } from '../src/driver/native.ts';
import { XskLink } from '../src/driver/xsk.ts';
import { COUNTER_BLOCK_BYTES, counterBlock } from '../src/metrics/layout.ts';
import type { Clock, Random } from '../src/rings/clock.ts';
import { Ifiqueue, RXQ_WORDS } from '../src/rings/ifiqueue.ts';
import { Ifqueue, TXQ_WORDS } from '../src/rings/ifqueue.ts';
import { F_TX_IPCSUM, FRAME_SIZE, ROW, TX_HEADROOM } from '../src/rings/link.ts';
import { FramePool, type Mbuf } from '../src/rings/mbuf.ts';
import { ifaddrAdd, ifEnqueue, ifFlush } from '../src/stack/ifnet.ts';
import { Stack } from '../src/stack/stack.ts';
import { Tunables } from '../src/stack/sysctl.ts';

/*
 * Our side of the frame benchmark: what bench/twin does in C, through Link, Mbuf, Ifqueue or Ifiqueue and their counters, with the code
 * that a shard runs.
 *
 *   frames-child.ts rx --iface IF    receives UDP for 192.0.2.1 through etherInput and ipInput and reads every header
 *   frames-child.ts tx --iface IF    sends 64-byte UDP frames, IPv4 checksum by the link
 *
 * Prints `ready` once frames can come, and one JSON line at the end.
 */

const BATCH = 64;
const RING = 2048;
const FRAMES = 2 * RING;
const SIZE = 64;
const SRC = 0xc0000201 | 0;
const DST = 0xc0000202 | 0;
const IPPROTO_UDP = 17;
/** Batches between two looks at the clock. */
const TURNS = 64;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    iface: { type: 'string' },
    seconds: { type: 'string', default: '5' },
    'dst-mac': { type: 'string', default: 'ff:ff:ff:ff:ff:ff' },
  },
});
const mode = positionals[0];
const seconds = Number(values.seconds);
if ((mode !== 'rx' && mode !== 'tx') || values.iface === undefined || !(seconds > 0)) {
  console.error('usage: frames-child.ts rx|tx --iface IF [--seconds N] [--dst-mac MAC]');
  process.exit(2);
}

const native = loadNative();
native.createUmem(FRAMES, RING);
const port = native.openPort({
  ifname: values.iface,
  queues: 1,
  xdp: 'native',
  zeroCopy: 'off',
  exclusive: true,
  rxcsum: 'accept-partial',
  maxFrame: 1518,
  busyPoll: false,
  timestamp: true,
});

const page = new Float64Array(CLOCK_WORDS);
const clock: Clock = { us: 0, ms: 0, wallUs: () => page[CLK.WALL]! };
/** Nothing of what is measured draws random words. */
const random: Random = { next32: () => 0 };
const pool = new FramePool(native.umem(), 0, FRAMES);
const cnt = counterBlock(new SharedArrayBuffer(COUNTER_BLOCK_BYTES), 0);
const st = new Stack({ clock, random, cnt, pool, tune: new Tunables(), shard: 0, nshards: 1 });
const link = new XskLink(native, port, { queue: 0, pool, page, reserve: mode === 'rx' ? 0 : RING });
const ifp = st.ifAttach({
  name: values.iface,
  queue: 0,
  mtu: 1500,
  macHi: 0x0200,
  macLo: 1,
  ifq: new Ifqueue(new Float64Array(TXQ_WORDS), RING - 1),
  ifiq: new Ifiqueue(new Float64Array(RXQ_WORDS)),
  link,
  txmit: BATCH,
});
ifaddrAdd(st, ifp, SRC, 24);

function sync(): void {
  clock.us = page[CLK.US]! | 0;
  clock.ms = page[CLK.MS]! | 0;
}

let packets = 0;
let touched = 0;

/** The end of the way up: reads the UDP header, which is the one that nobody has read, and frees. */
function udpSink(stack: Stack, m: Mbuf): void {
  touched ^= stack.pool.dv.getInt32(m.l4);
  packets++;
  stack.pool.put(m);
}

/** Spins, as the twin does with --spin. @returns seconds from the first frame on */
function receive(): number {
  st.protosw[IPPROTO_UDP] = udpSink;
  const table = new Int32Array(BATCH * ROW);
  const patience = seconds * 1000 + 10_000;
  const start = performance.now();
  let first = 0;
  for (let turn = 0; ; turn++) {
    const n = link.receive(table, BATCH);
    if (n > 0) {
      sync();
      st.input(ifp, table, n);
      st.flush();
      if (first === 0) first = performance.now();
    }
    if (turn % TURNS !== 0) continue;
    const now = performance.now();
    if (first !== 0 && now - first > seconds * 1000) return (now - first) / 1000;
    if (now - start > patience) throw new Error('no frame came');
  }
}

/** Writes the headers once; only what changes from frame to frame is written again. */
function template(): void {
  const mac = values['dst-mac'].split(':').map((byte) => Number.parseInt(byte, 16));
  const { u8, dv } = pool;
  for (let frame = 0; frame < FRAMES; frame++) {
    const at = frame * FRAME_SIZE + TX_HEADROOM;
    u8.set([...mac, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0], at);
    dv.setUint16(at + 16, SIZE - 14);
    u8.set([64, IPPROTO_UDP], at + 22);
    dv.setInt32(at + 26, SRC);
    dv.setInt32(at + 30, DST);
    dv.setUint16(at + 36, 9);
    dv.setUint16(at + 38, SIZE - 34);
  }
}

/** @returns seconds that it sent */
function transmit(): number {
  template();
  const { dv } = pool;
  const start = performance.now();
  for (let turn = 0; ; turn++) {
    for (let i = 0; i < BATCH; i++) {
      const m = pool.get();
      if (m === null) break;
      m.len = SIZE;
      m.flags = F_TX_IPCSUM;
      dv.setUint16(m.pos + 18, packets & 0xffff);
      dv.setUint16(m.pos + 34, 1024 + (packets & 1023));
      if (ifEnqueue(st, ifp, m) === 0) packets++;
    }
    ifFlush(st, ifp);
    if (turn % TURNS !== 0) continue;
    native.readClock(page);
    sync();
    const now = performance.now();
    if (now - start > seconds * 1000) return (now - start) / 1000;
  }
}

console.log('ready');
const took = mode === 'rx' ? receive() : transmit();
console.log(JSON.stringify({ mode, seconds: took, packets, touched: touched & 1 }));
link.close();
native.closePort(port.port);
