import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { siftrs } from '../../../src/metrics/layout.ts';
import { FlowTable } from '../../../src/siftr/flow-table.ts';
import { splitFlowList } from '../../../src/siftr/flows-file.ts';
import { KIND_GEN_SHIFT, KIND_GONE, RECORD_WORDS } from '../../../src/siftr/record.ts';
import { TupleStore } from '../../../src/siftr/tuple-store.ts';
import fc from '../../lab/property.ts';
import { controlRigs, figures, read } from './control-rig.ts';
import { fill, type RecordValues, tuple } from './records.ts';

const rigs = controlRigs();

function rec(values: RecordValues): Uint32Array {
  const words = new Uint32Array(RECORD_WORDS);
  fill(words, 0, values);
  return words;
}

/** A record of connection `gen` of a tuple that `port` names; flowid and port are one. */
const conn = (port: number, gen = 1): RecordValues => ({
  ...tuple('192.0.2.1', port, '192.0.2.2', 5001),
  flowid: port,
  kind: gen << KIND_GEN_SHIFT,
});
const gone = (port: number, gen = 1): RecordValues => ({
  ...conn(port, gen),
  kind: (gen << KIND_GEN_SHIFT) | KIND_GONE,
});
const entry = (port: number): string => `192.0.2.1;${port}-192.0.2.2;5001`;

describe('the flow table (spec/siftr.md section 14 item 4)', () => {
  test('frees an entry when its connection is gone; the list of flows remembers it', () => {
    const t = new FlowTable();
    for (let port = 1; port <= 10000; port++) {
      t.find(rec(conn(port)), 0);
      t.gone(rec(gone(port)), 0);
    }
    expect(t.size).toBe(0);
    expect(t.flows.size).toBe(10000);
    expect(t.list().split(',')).toHaveLength(10001);
  });

  test('tells connections that have a tuple one after the other: each has its own ppl phase, and the tuple is listed once', () => {
    const t = new FlowTable();
    const first = t.find(rec(conn(7, 1)), 0);
    t.gone(rec(gone(7, 1)), 0);
    const second = t.find(rec(conn(7, 2)), 0);
    expect(second).not.toBe(first);
    expect(t.find(rec(conn(7, 2)), 0)).toBe(second);
    expect(t.size).toBe(1);
    expect(t.list()).toBe(`${entry(7)},`);
  });

  test('replaces a connection of whose end no record is there, because the ring was full', () => {
    const t = new FlowTable();
    t.find(rec(conn(7, 1)), 0);
    t.find(rec(conn(7, 2)), 0);
    expect(t.size).toBe(1);
    // A late note about the first one leaves the second alone.
    t.gone(rec(gone(7, 1)), 0);
    expect(t.size).toBe(1);
  });

  test('with strict=1 keeps entries to the end of the cycle and merges flows of one flowid, as siftr(4) does (section 8)', () => {
    const t = new FlowTable();
    t.clear(true);
    const first = t.find(rec({ ...conn(1), flowid: 9 }), 0);
    t.gone(rec({ ...gone(1), flowid: 9 }), 0);
    expect(t.find(rec({ ...conn(2, 5), flowid: 9 }), 0)).toBe(first);
    expect(t.list()).toBe(`${entry(1)},`);
    t.clear();
    expect(t.list()).toBe('');
  });
});

describe('net.inet.siftr.flow_max', () => {
  test('beyond it the flows that were closed first leave the list; while none is closed a new one does not come in', () => {
    const t = new FlowTable();
    t.flows.max = 3;
    for (const port of [1, 2, 3]) t.find(rec(conn(port)), 0);
    t.gone(rec(gone(2)), 0);
    t.gone(rec(gone(1)), 0);
    t.find(rec(conn(4)), 0);
    expect(t.list()).toBe(`${[1, 3, 4].map(entry).join(',')},`);
    t.find(rec(conn(5)), 0);
    expect(t.list()).toBe(`${[3, 4, 5].map(entry).join(',')},`);
    expect(t.flows.dropped).toBe(2);
    t.find(rec(conn(6)), 0);
    expect(t.list()).toBe(`${[3, 4, 5].map(entry).join(',')},`);
    expect(t.flows.dropped).toBe(3);
    // A tuple that comes again is open again, and stays.
    t.gone(rec(gone(3)), 0);
    t.gone(rec(gone(4)), 0);
    t.find(rec(conn(3, 2)), 0);
    t.find(rec(conn(7)), 0);
    expect(t.list()).toBe(`${[3, 5, 7].map(entry).join(',')},`);
  });

  test('holds for the writer: what left the list is counted, no line is missing', async () => {
    const t = rigs.setUp();
    await t.control.setSysctl('net.inet.siftr.flow_max', 2);
    await t.control.enable();
    for (const port of [1, 2, 3, 4]) t.packet(conn(port));
    await t.control.disable();
    expect(figures(t.log)).toMatchObject({ data: 4, total: 4 });
    expect(read(t.log).at(-1)).toMatch(/flow_list=192\.0\.2\.1;1-192\.0\.2\.2;5001,192\.0\.2\.1;2-192\.0\.2\.2;5001,$/);
    expect(t.writerCnt[siftrs.siftrs_flow_list_dropped]).toBe(2);
  });

  test('IPv6 flows are listed with the others, in 36 bytes each', () => {
    const t = new FlowTable();
    const v6 = {
      l0: 0x20010db8,
      l1: 0,
      l2: 0,
      l3: 1,
      f0: 0x20010db8,
      f1: 0,
      f2: 0,
      f3: 2,
      ports: (80 << 16) | 9,
      flowid: 1,
    };
    t.find(rec(v6), 0);
    t.find(rec(conn(2)), 0);
    expect(t.list()).toBe(`2001:db8::1;80-2001:db8::2;9,${entry(2)},`);
  });
});

describe('a note that a connection is gone', () => {
  test('is no packet: it makes no line, and is not lost when a log ends that cannot be written', async () => {
    const t = rigs.setUp();
    await t.control.enable();
    t.packet(conn(1));
    t.note(gone(1));
    t.port.pass();
    await t.port.hold('EIO: i/o error');
    t.packet(conn(2));
    t.note(gone(2));
    await t.control.disable();
    expect(t.said.at(-1)).toBe('error SIFTR: 1 records were lost because the log could not be written');
    expect(t.cnt[siftrs.siftrs_sum_mismatch]).toBe(0);
  });
});

describe('a store of tuples', () => {
  test('keeps what a Map and a queue keep, whatever is entered, closed, opened again and removed', () => {
    const command = fc.tuple(fc.constantFrom('open', 'close', 'remove'), fc.integer({ min: 0, max: 40 }));
    fc.assert(
      fc.property(fc.array(command, { maxLength: 300 }), (commands) => {
        const store = new TupleStore(3);
        const open = new Set<number>();
        const closed: number[] = [];
        const key = new Int32Array(3);
        const keyOf = (n: number): Int32Array => {
          key[0] = n * 7919;
          key[1] = -n;
          key[2] = n << 16;
          return key;
        };
        for (const [what, n] of commands) {
          const at = store.find(keyOf(n));
          expect(at >= 0).toBe(open.has(n) || closed.includes(n));
          if (what === 'open') {
            if (at < 0) store.insert(keyOf(n), n, n);
            else store.reopen(at);
            if (closed.includes(n)) closed.splice(closed.indexOf(n), 1);
            open.add(n);
          } else if (what === 'close' && at >= 0) {
            store.close(at);
            if (open.delete(n)) closed.push(n);
          } else if (what === 'remove') {
            expect(store.removeOldest()).toBe(closed.length > 0);
            closed.shift();
          }
        }
        const there: number[] = [];
        store.forEach((keys, first, serial, tag) => {
          expect(keys.slice(first, first + 3)).toEqual(keyOf(tag));
          expect(serial).toBe(tag);
          there.push(tag);
        });
        expect(there.sort((a, b) => a - b)).toEqual([...open, ...closed].sort((a, b) => a - b));
        expect(store.size).toBe(there.length);
      }),
    );
  });

  test('grows past its first size and finds everything', () => {
    const store = new TupleStore(3);
    const key = new Int32Array(3);
    for (let i = 0; i < 5000; i++) {
      key[0] = i;
      store.insert(key, i, i);
    }
    for (let i = 0; i < 5000; i++) {
      key[0] = i;
      expect(store.find(key)).toBe(i);
    }
    expect(store.size).toBe(5000);
  });
});

describe('net.inet.siftr.flow_list_max_bytes (spec/siftr.md section 14 item 16)', () => {
  const KNOB = 'net.inet.siftr.flow_list_max_bytes';
  /** Bytes of an entry with a port of one digit, comma included. */
  const ENTRY = `${entry(1)},`.length;
  const flowList = (path: string): string => /flow_list=(.*)$/.exec(read(path).at(-1)!)![1]!;

  const cycle = async (t: ReturnType<typeof rigs.setUp>, ports: number[]): Promise<void> => {
    await t.control.enable();
    for (const port of ports) t.packet(conn(port));
    await t.control.disable();
  };

  test('cuts at a whole entry, and the rest is in FILE.flows, an entry a line', async () => {
    const t = rigs.setUp();
    await t.control.setSysctl(KNOB, 3 * ENTRY - 1);
    await cycle(t, [1, 2, 3, 4]);
    expect(flowList(t.log)).toBe(`${entry(1)},${entry(2)},`);
    expect(read(`${t.log}.flows`)).toEqual([entry(3), entry(4)]);
    // A further cycle of the file is appended here as there; a new file begins a new one.
    await cycle(t, [5, 6, 7]);
    expect(flowList(t.log)).toBe(`${entry(5)},${entry(6)},`);
    expect(read(`${t.log}.flows`)).toEqual([entry(3), entry(4), entry(7)]);
    rmSync(t.log);
    await cycle(t, [1, 2, 3]);
    expect(read(`${t.log}.flows`)).toEqual([entry(3)]);
  });

  test('keeps a list that fits whole, and by default every list', async () => {
    const t = rigs.setUp();
    await cycle(t, [1, 2, 3]);
    await t.control.setSysctl(KNOB, 3 * ENTRY);
    await cycle(t, [1, 2, 3]);
    for (const line of read(t.log).filter((l) => l.startsWith('disable'))) expect(line.split(',')).toHaveLength(4);
    expect(() => readFileSync(`${t.log}.flows`)).toThrow('ENOENT');
  });

  test('keeps the disable line of 27-field logs under the 998 characters that a known reader takes (section 12)', async () => {
    const t = rigs.setUp();
    await cycle(t, []);
    const head = read(t.log)[1]!.length;
    await t.control.setSysctl(KNOB, 990 - head);
    await cycle(
      t,
      Array.from({ length: 60 }, (_, i) => i + 1),
    );
    const line = read(t.log).at(-1)!;
    expect(line.length).toBeLessThanOrEqual(998);
    expect(line.split('\t')).toHaveLength(13);
    const listed = flowList(t.log).split(',').length - 1;
    expect(listed + read(`${t.log}.flows`).length).toBe(60);
  });

  test('leaves the list whole with strict=1, in what is no plain file, and where FILE.flows cannot be written', async () => {
    const t = rigs.setUp();
    await t.control.setSysctl(KNOB, 10);
    mkdirSync(`${t.log}.flows`);
    await cycle(t, [1, 2]);
    expect(flowList(t.log)).toBe(`${entry(1)},${entry(2)},`);
    expect(t.said).toEqual([expect.stringMatching(/^error SIFTR log .*: its flow list stays whole: EISDIR/)]);
    rmSync(`${t.log}.flows`, { recursive: true });
    await t.control.setSysctl('net.inet.siftr.strict', 1);
    await cycle(t, [1, 2]);
    expect(flowList(t.log)).toBe(`${entry(1)},${entry(2)},`);
  });

  test.each([
    ['', 10, '', ''],
    ['a,b,', 0, 'a,b,', ''],
    ['aa,bb,', 6, 'aa,bb,', ''],
    ['aa,bb,', 5, 'aa,', 'bb,'],
    ['aa,bb,', 3, 'aa,', 'bb,'],
    ['aa,bb,', 2, '', 'aa,bb,'],
  ])('%j within %i bytes is %j, the rest %j', (list, max, head, rest) => {
    expect(splitFlowList(list, max)).toEqual({ head, rest });
  });

  test('does not follow a symbolic link', async () => {
    const t = rigs.setUp();
    writeFileSync(join(rigs.dir, 'elsewhere'), 'theirs');
    symlinkSync(join(rigs.dir, 'elsewhere'), `${t.log}.flows`);
    await t.control.setSysctl(KNOB, 10);
    await cycle(t, [1, 2]);
    expect(readFileSync(join(rigs.dir, 'elsewhere'), 'utf8')).toBe('theirs');
  });
});
