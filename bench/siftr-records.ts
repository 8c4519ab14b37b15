import { COUNTER_SLOTS } from '../src/metrics/layout.ts';
import { SiftrHook } from '../src/siftr/hook.ts';
import { PREFIX, writeKnobs } from '../src/siftr/knobs.ts';
import { createRing, RECORD_WORDS, RecordConsumer, RecordProducer } from '../src/siftr/record.ts';
import { createSiftrShared } from '../src/siftr/shared.ts';
import { SiftrWriter } from '../src/siftr/writer.ts';
import { open, pattern, Recorder, serve } from '../test/lab/tcpuser.ts';
import { ADDR_A, ADDR_B, TwoStacks } from '../test/lab/twostacks.ts';
import type { Effort, Pair, Run } from './pairs.ts';

/**
 * (d) SIFTR's records, one thread and no NIC: what the hook costs a packet in a stack, and how many records a second the hook leaves in
 * its ring and the writer makes lines of. Needs no root and no namespaces.
 */

const RECORDS = 65536;
/** Bytes of a transfer; long enough that the handshake is nothing of it. */
const BYTES = 20_000_000;

type Knobs = Readonly<Record<string, number | string>>;

function shared(knobs: Knobs): Int32Array {
  const cfg = createSiftrShared();
  writeKnobs(cfg, new Map(Object.entries(knobs).map(([leaf, value]) => [PREFIX + leaf, value])));
  return cfg;
}

/** Repeats `work`, which returns how often it did what is counted and how many seconds it took, and gives the rate in millions a second. */
function rate(effort: Effort, work: () => { n: number; seconds: number }): Run {
  let n = 0;
  let seconds = 0;
  const until = performance.now() + effort.seconds * 1000;
  // What comes first is compiled while it runs.
  work();
  do {
    const one = work();
    n += one.n;
    seconds += one.seconds;
  } while (performance.now() < until);
  return { value: n / seconds / 1e6 };
}

/** Packets of a bulk transfer between two stacks in one thread, those of both; SIFTR, if any, on both, its ring emptied unread. */
function transfer(effort: Effort, knobs: Knobs | null): Run {
  // Made once, as in a shard: their memory is touched before what counts.
  const rings = [createRing(RECORDS), createRing(RECORDS)];
  const consumers = rings.map((r) => new RecordConsumer(r));
  return rate(effort, () => {
    const net = new TwoStacks({ delayUs: 100 });
    const accepted: Recorder[] = [];
    serve(net.b, 80, accepted, () => {
      const r = new Recorder();
      r.keep = false;
      return r;
    });
    if (knobs !== null) {
      for (const [i, side] of [net.a, net.b].entries()) {
        const hook = new SiftrHook(side.st, rings[i]!, shared(knobs));
        hook.hook(0);
        side.onPass = () => {
          hook.publish();
          drop(consumers[i]!);
        };
      }
    }
    const user = open(net.a, ADDR_B, 80);
    net.run(1_000_000, () => user.has('connected'));
    user.sendAll(CONTENTS, true);
    const begun = performance.now();
    net.run(600_000_000, () => accepted[0]?.has('end') === true);
    const seconds = (performance.now() - begun) / 1000;
    if (accepted[0]?.received !== BYTES) throw new Error('the transfer did not end');
    return { n: net.sent[0] + net.sent[1], seconds };
  });
}

const CONTENTS = pattern(BYTES);

function drop(ring: RecordConsumer): void {
  ring.refresh();
  while (ring.peek() >= 0) ring.advance();
  ring.release();
}

/** Records that the hook alone leaves in its ring: the same inbound packet of a connection again and again. */
function hooked(effort: Effort): Run {
  const net = new TwoStacks();
  serve(net.b, 80, []);
  const user = open(net.a, ADDR_B, 80, 40000);
  net.run(1_000_000, () => user.has('connected'));
  const { st } = net.a;
  const ring = createRing(RECORDS);
  const hook = new SiftrHook(st, ring, shared({}));
  const consumer = new RecordConsumer(ring);
  hook.hook(0);
  const m = st.pool.get()!;
  const v = st.pool.dv;
  m.len = 40;
  for (let i = 0; i < 40; i += 4) v.setInt32(m.pos + i, 0);
  v.setUint8(m.pos, 0x45);
  v.setUint8(m.pos + 9, 6);
  v.setInt32(m.pos + 12, ADDR_B);
  v.setInt32(m.pos + 16, ADDR_A);
  v.setUint16(m.pos + 20, 80);
  v.setUint16(m.pos + 22, 40000);
  const ctx = st.pfil.inet.ctxIn;
  ctx.inp = null;
  return rate(effort, () => {
    const begun = performance.now();
    for (let i = 0; i < RECORDS; i++) {
      m.mflags = 0;
      hook.mbuf(m, ctx);
    }
    hook.publish();
    const seconds = (performance.now() - begun) / 1000;
    const n = consumer.refresh();
    if (n !== RECORDS) throw new Error(`${n} records of ${RECORDS} packets`);
    drop(consumer);
    return { n, seconds };
  });
}

/** Records of a transfer, as the hook makes them, made into lines that go nowhere. */
function written(effort: Effort): Run {
  const made = recorded();
  const buf = createRing(RECORDS);
  const ring = new RecordProducer(buf);
  const writer = new SiftrWriter([buf], shared({}), new Float64Array(COUNTER_SLOTS));
  let bytes = 0;
  writer.begin(
    {
      write: (_b, _off, len) => {
        bytes += len;
        return len;
      },
    },
    Number.POSITIVE_INFINITY,
  );
  let lines = 0;
  const run = rate(effort, () => {
    for (let i = 0; i < RECORDS; i++) {
      const r = ring.reserve();
      const from = (i % (made.length / RECORD_WORDS)) * RECORD_WORDS;
      ring.words.set(made.subarray(from, from + RECORD_WORDS), r);
      ring.commit();
    }
    ring.publish();
    const begun = performance.now();
    const n = writer.pass();
    lines += n;
    return { n, seconds: (performance.now() - begun) / 1000 };
  });
  return { ...run, note: `${(bytes / lines).toFixed(0)} bytes a line` };
}

/** The words of some thousand records of a transfer. */
function recorded(): Int32Array {
  const net = new TwoStacks({ delayUs: 100 });
  serve(net.b, 80, []);
  const buf = createRing(8192);
  const consumer = new RecordConsumer(buf);
  const hook = new SiftrHook(net.a.st, buf, shared({}));
  hook.hook(0);
  const user = open(net.a, ADDR_B, 80);
  net.run(1_000_000, () => user.has('connected'));
  user.sendAll(CONTENTS.subarray(0, 4_000_000), true);
  net.run(600_000_000, () => user.has('closed 0'));
  hook.publish();
  const n = consumer.refresh();
  const first = consumer.peek();
  return Int32Array.from(consumer.words.subarray(first, first + n * RECORD_WORDS));
}

export async function siftrRecordPairs(each: (pairs: readonly Pair[]) => Promise<void>): Promise<void> {
  const beside = (name: string, knobs: Knobs): Pair => ({
    name: `SIFTR hook, ${name}, beside none: TCP in memory`,
    unit: 'M packets/s',
    wanted: 0.8,
    ours: async (effort) => transfer(effort, knobs),
    theirs: async (effort) => transfer(effort, null),
  });
  await each([
    beside('hook=ip', {}),
    beside('hook=tcp', { hook: 'tcp' }),
    {
      name: 'SIFTR writer, beside hook and ring: records',
      unit: 'M records/s',
      wanted: 0.2,
      ours: async (effort) => written(effort),
      theirs: async (effort) => hooked(effort),
    },
  ]);
}
