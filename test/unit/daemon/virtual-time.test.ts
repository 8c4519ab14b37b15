import { once } from 'node:events';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { type Attached, attach } from '../../../src/daemon/attach.ts';
import { ipv4, parseIp, tcp } from '../../lab/frames.ts';
import { socketDir, UnixPeer } from '../../lab/unix-peer.ts';

/** The virtual clock and LINKSYNC (spec/endpoint.md), by the library and a peer that speaks segment by segment over mode=ip. */

const US = '192.0.2.1';
const PEER = '192.0.2.2';
const FIN = 1;
const SYN = 2;
const RST = 4;
const ACK = 16;
/** Maximum segment lifetime of the default, 30 s; TIME_WAIT lasts two (RFC 9293 section 3.4.2; FreeBSD's net.inet.tcp.msl). */
const TIME_WAIT_US = 60_000_000;
const PORT = 7;

const dir = socketDir();
const open: { close(): unknown }[] = [];
let made = 0;

interface Segment {
  flags: number;
  seq: number;
  ack: number;
  sport: number;
  dport: number;
  /** TSval of the timestamps option, or null. */
  tsval: number | null;
  data: number[];
}

function parse(packet: Uint8Array): Segment {
  const p = parseIp(Uint8Array.from([...new Array<number>(14).fill(0), ...packet])).payload;
  const v = new DataView(p.buffer, p.byteOffset, p.length);
  const hlen = (p[12]! >> 4) * 4;
  let tsval: number | null = null;
  for (let i = 20; i < hlen; ) {
    if (p[i] === 1) i++;
    else if (p[i] === 0) break;
    else {
      if (p[i] === 8) tsval = v.getUint32(i + 2);
      i += p[i + 1]!;
    }
  }
  return {
    flags: p[13]!,
    seq: v.getUint32(4),
    ack: v.getUint32(8),
    sport: v.getUint16(0),
    dport: v.getUint16(2),
    tsval,
    data: [...p.subarray(hlen)],
  };
}

/** The peer of a link in mode=ip, with a connection from `sport` to the stack's PORT. */
class Far {
  readonly peer: UnixPeer;
  readonly sport: number;
  sent = 0;
  seq = 1000;
  ack = 0;

  constructor(peer: UnixPeer, sport = 40000) {
    this.peer = peer;
    this.sport = sport;
  }

  send(flags: number, o: { seq?: number; data?: number[]; sport?: number; dport?: number } = {}): void {
    const { seq = this.seq, data = [], sport = this.sport, dport = PORT } = o;
    const segment = tcp({ src: PEER, dst: US, sport, dport, seq, ack: this.ack, flags }, data);
    this.peer.send(ipv4({ src: PEER, dst: US, proto: 6 }, segment));
    this.sent++;
  }

  async next(): Promise<Segment> {
    return parse(await this.peer.next());
  }

  /** What has come so far and was not asked for. */
  rest(): Segment[] {
    return this.peer.frames.splice(0).map(parse);
  }

  /** Three-way handshake with the stack's server. */
  async handshake(): Promise<void> {
    this.send(SYN);
    const synack = await this.next();
    expect(synack.flags).toBe(SYN | ACK);
    this.seq++;
    this.ack = synack.seq + 1;
    this.send(ACK);
  }
}

async function rig(sysctl: string[] = []): Promise<{ net: Attached; far: Far }> {
  const path = dir.path(`s${made++}`);
  const net = await attach({ iface: `unix:${path},mode=ip,addr=${US}/24`, logLevel: 'silent', sysctl });
  open.push(net);
  const peer = await UnixPeer.connect(path);
  open.push(peer);
  return { net, far: new Far(peer) };
}

afterEach(async () => {
  for (const o of open.splice(0).reverse()) await o.close();
});
afterAll(() => dir.remove());

describe('CLOCK (spec/endpoint.md)', () => {
  test('before it is set virtual, time is the machine’s and cannot be advanced', async () => {
    const { net } = await rig();
    expect(net.clock.virtual).toBe(false);
    const before = net.clock.read();
    expect(Number.isInteger(before)).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(net.clock.read()).toBeGreaterThan(before);
    await expect(net.clock.advance(1)).rejects.toThrow('time is not virtual: set it so before it is advanced');
  });

  test('virtual time moves by what it is advanced by, and by nothing else', async () => {
    const { net } = await rig();
    net.clock.setVirtual();
    const t0 = net.clock.read();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(net.clock.read()).toBe(t0);
    expect(await net.clock.advance(0)).toBe(t0);
    expect(await net.clock.advance(1)).toBe(t0 + 1);
    net.clock.setVirtual();
    // Two days, in one go.
    expect(await net.clock.advance(172_800_000_000)).toBe(t0 + 1 + 172_800_000_000);
    const both = await Promise.all([net.clock.advance(10), net.clock.advance(20)]);
    expect(both[1]).toBe(t0 + 172_800_000_031);
    expect(net.clock.read()).toBe(t0 + 172_800_000_031);
  });

  test.each([-1, 0.5, Number.NaN, 2 ** 53])('an advance by %s is refused', async (us) => {
    const { net } = await rig();
    net.clock.setVirtual();
    await expect(net.clock.advance(us)).rejects.toThrow(/allowed is a whole number of microseconds from 0 to 2\^52/);
  });

  test('a SYN that nobody answers is sent again after 1 s to the microsecond, and then after 2 s (RFC 6298 sections 2.1, 5.5)', async () => {
    const { net, far } = await rig();
    net.clock.setVirtual();
    const socket = net.connect({ host: PEER, port: 9 });
    socket.on('error', () => {});
    const first = await far.next();
    expect(first.flags & SYN).toBe(SYN);
    await net.clock.advance(999_999);
    expect(far.rest()).toEqual([]);
    await net.clock.advance(1);
    const second = await far.next();
    expect(second.flags & SYN).toBe(SYN);
    expect(second.seq).toBe(first.seq);
    // The timestamps option counts virtual milliseconds (RFC 7323 section 5.4).
    expect(second.tsval! - first.tsval!).toBe(1000);
    await net.clock.advance(1_999_999);
    expect(far.rest()).toEqual([]);
    await net.clock.advance(1);
    expect((await far.next()).tsval! - first.tsval!).toBe(3000);
  });

  test('one advance sends what is due on its way at its own time each, and has sent it when it is over', async () => {
    const { net, far } = await rig();
    net.clock.setVirtual();
    const socket = net.connect({ host: PEER, port: 9 });
    socket.on('error', () => {});
    const first = await far.next();
    const step = await rig();
    step.net.clock.setVirtual();
    const stepped = step.net.connect({ host: PEER, port: 9 });
    stepped.on('error', () => {});
    const stepFirst = await step.far.next();

    await net.clock.advance(60_000_000);
    await far.peer.until(() => far.peer.frames.length >= 4);
    const at = far.rest().map((s) => s.tsval! - first.tsval!);
    expect(at.length).toBeGreaterThanOrEqual(4);
    // The same in steps of 7 ms and a little, which no timer falls on.
    for (let left = 60_000_000; left > 0; left -= 7_003_001) await step.net.clock.advance(Math.min(left, 7_003_001));
    await step.far.peer.until(() => step.far.peer.frames.length >= at.length);
    expect(step.far.rest().map((s) => s.tsval! - stepFirst.tsval!)).toEqual(at);
  });

  test.each([
    ['a microsecond before its end, TIME_WAIT answers a FIN that comes again with an ACK', TIME_WAIT_US - 1, ACK],
    ['at its end, 60 s, TIME_WAIT is over: the FIN meets no connection and is reset', TIME_WAIT_US, RST],
  ])('%s (RFC 9293 section 3.6.1, 3.10.7.1)', async (_, wait, answer) => {
    const { net, far } = await rig();
    const server = net.createServer((s) => s.end());
    server.listen(PORT);
    net.clock.setVirtual();
    await far.handshake();
    // The server closes first, so it is the stack that waits.
    const fin = await far.next();
    expect(fin.flags & FIN).toBe(FIN);
    far.ack = fin.seq + 1;
    far.send(FIN | ACK);
    expect((await far.next()).flags).toBe(ACK);
    await net.clock.advance(wait);
    expect(far.rest()).toEqual([]);
    far.send(FIN | ACK);
    expect((await far.next()).flags & (RST | ACK)).toBe(answer);
  });

  test('two runs do the same at the same times', async () => {
    const run = async (): Promise<unknown> => {
      const { net, far } = await rig();
      const server = net.createServer((s) => s.write(Buffer.alloc(3000, 'x')));
      server.listen(PORT);
      net.clock.setVirtual();
      await far.handshake();
      await net.linksync(0, far.sent);
      const t0 = net.clock.read();
      const log: unknown[] = [];
      let seen = 1;
      // What is never acknowledged is sent again and again.
      for (let i = 0; i < 30; i++) {
        await net.clock.advance(250_000);
        // The kernel has all that was sent; here it is when this process has read it.
        const sent = Number(/tx_packets: (\d+)/.exec(net.kstat('ulink'))![1]);
        await far.peer.until(() => far.peer.frames.length >= sent - seen);
        seen = sent;
        for (const s of far.rest()) log.push([net.clock.read() - t0, s.flags, s.data.length]);
      }
      return log;
    };
    const first = await run();
    expect(first).not.toEqual([]);
    expect(await run()).toEqual(first);
  });

  test('while somebody waits, time jumps from timer to timer: a connection attempt times out after 75 s (FreeBSD keepinit)', async () => {
    const { net } = await rig();
    net.clock.setVirtual();
    const t0 = net.clock.read();
    const socket = net.connect({ host: PEER, port: 9 });
    const failed = once(socket, 'error');
    const done = net.clock.wait();
    const [err] = await failed;
    done();
    expect(err).toMatchObject({ code: 'ETIMEDOUT' });
    expect(net.clock.read() - t0).toBe(75_000_000);
    const t1 = net.clock.read();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(net.clock.read()).toBe(t1);
  });

  test('while nobody waits it does not jump, and a peer that answers is heard before it does', async () => {
    const { net, far } = await rig();
    net.clock.setVirtual();
    const t0 = net.clock.read();
    const socket = net.connect({ host: PEER, port: 9 });
    const done = net.clock.wait();
    const syn = await far.next();
    far.ack = syn.seq + 1;
    far.send(SYN | ACK, { sport: 9, dport: syn.sport });
    await once(socket, 'connect');
    done();
    expect(net.clock.read()).toBe(t0);
  });

  test('a stack with no peer can be put on virtual time, too', async () => {
    const net = await attach({ iface: `unix:${dir.path('alone')},addr=${US}/24`, logLevel: 'silent' });
    open.push(net);
    net.clock.setVirtual();
    await net.clock.advance(1_000_000);
    expect(net.kstat('ulink')).toContain('up: false');
  });
});

describe('LINKSYNC (spec/endpoint.md)', () => {
  test('settles when input has finished with the frames: what they carried is with the application', async () => {
    const { net, far } = await rig();
    const got: Buffer[] = [];
    const server = net.createServer((s) => s.on('data', (d: Buffer) => got.push(d)));
    server.listen(PORT);
    await far.handshake();
    for (let i = 0; i < 20; i++) {
      far.send(ACK, { data: [i] });
      far.seq++;
    }
    await net.linksync(0, far.sent);
    expect(Buffer.concat(got).length).toBe(20);
    // Once it has come so far it stays so.
    await net.linksync(0, 1);
  });

  test('counts frames whatever becomes of them, and on virtual time as well', async () => {
    const { net, far } = await rig();
    net.clock.setVirtual();
    far.peer.send([0x60, 0, 0, 0], [], new Uint8Array(9000), [0x45]);
    await net.linksync(0, 4);
    expect(net.kstat('ulink')).toContain('rx_done: 4 packets');
    expect(net.netstat()).toContain('1 IPv6 packet dropped');
  });

  test('goes on over the peers that come one after the other', async () => {
    const { net, far } = await rig();
    far.peer.send([0x60], [0x60]);
    await net.linksync(0, 2);
    far.peer.close();
    const path = net.attachLine.split('"')[1]!;
    const next = await UnixPeer.connect(path);
    open.push(next);
    next.send([0x60]);
    await net.linksync(0, 3);
  });

  test('gives up after 5 s; a link that there is not, and the end of the stack, are told at once', async () => {
    const { net } = await rig();
    await expect(net.linksync(1, 0)).rejects.toMatchObject({ code: 'EINVAL' });
    await expect(net.linksync(0, Number.NaN)).rejects.toMatchObject({ code: 'EINVAL' });
    await expect(net.linksync(0, 1)).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    const late = net.linksync(0, 1);
    late.catch(() => {});
    await net.close();
    await expect(late).rejects.toMatchObject({ code: 'ECANCELED' });
  });
});
