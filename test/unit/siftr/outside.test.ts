import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startWriterThread } from '../../../src/daemon/siftr-port.ts';
import { readSiftr } from '../../../src/log/index.ts';
import { COUNTER_SLOTS, siftrs } from '../../../src/metrics/layout.ts';
import { SiftrControl } from '../../../src/siftr/control.ts';
import { cycleCounts, DATA_LINE_MAX, disableLine, enableLine, siftrIdent } from '../../../src/siftr/format.ts';
import { writeKnobs } from '../../../src/siftr/knobs.ts';
import { identOf } from '../../../src/siftr/modes.ts';
import { createRing, RecordProducer } from '../../../src/siftr/record.ts';
import { createSiftrShared } from '../../../src/siftr/shared.ts';
import { SiftrWriter } from '../../../src/siftr/writer.ts';
import { inetPton } from '../../../src/stack/net/in6-addr.ts';
import { FixedReader, havePandas, readTable } from '../../lab/siftr-readers.ts';
import { MAN_DATA_VALUES, push, tuple } from './records.ts';

const PARSER = join(import.meta.dirname, '../../fixtures/parse_siftr.py');
const noPython = spawnSync('python3', ['-c', '']).status !== 0 || !havePandas();
const START = 1_700_000_000_000_000;

interface Parsed {
  data: number;
  rows: { i: number; o: number };
  states: number[];
  disorder_us: number;
  flows: Record<string, { flow: string; i: number; o: number; max_cwnd: number; types: number[] }>;
  listed: string[];
}

function parse(path: string, ...options: string[]): { status: number | null; out: Parsed; err: string } {
  const r = spawnSync('python3', [PARSER, ...options, path], { encoding: 'utf8' });
  return { status: r.status, out: r.stdout === '' ? ({} as Parsed) : (JSON.parse(r.stdout) as Parsed), err: r.stderr };
}

describe.skipIf(noPython)(
  'a reader that shares no code with the writer (spec/siftr.md section 12; needs python3 and pandas)',
  () => {
    let dir: string;
    let log: string;
    beforeAll(async () => {
      dir = mkdtempSync(join(tmpdir(), 'xsiftr-siftr-'));
      log = join(dir, 'siftr.log');
      // Four queues with ten flows, of which each packet is one record, times going up in each queue.
      const bufs = Array.from({ length: 4 }, () => createRing(4096));
      const rings = bufs.map((b) => new RecordProducer(b));
      const shards = bufs.map(() => new Float64Array(COUNTER_SLOTS));
      const cfg = createSiftrShared();
      let now = START;
      const control = new SiftrControl({
        shards: [],
        counters: shards,
        cnt: new Float64Array(COUNTER_SLOTS),
        cfg,
        makeRings: async () => expect.unreachable(),
        writer: startWriterThread({
          rings: bufs,
          cfg,
          cnt: new Float64Array(new SharedArrayBuffer(COUNTER_SLOTS * 8)),
        }),
        nowUs: () => now,
        lockFile: () => true,
        ident: siftrIdent('0.1.0'),
        logfile: log,
        limit: null,
        meta: null,
        warn: () => {},
        error: (line) => expect.unreachable(line),
      });
      await control.enable();
      for (let n = 0; n < 2000; n++) {
        now++;
        const flow = n % 10;
        const shard = flow % 4;
        const out = n % 3 === 0;
        shards[shard]![out ? siftrs.siftrs_n_out : siftrs.siftrs_n_in]!++;
        if (n % 100 === 99) {
          shards[shard]![out ? siftrs.siftrs_nskip_out_tcpcb : siftrs.siftrs_nskip_in_tcpcb]!++;
          continue;
        }
        push(rings[shard]!, {
          ...MAN_DATA_VALUES,
          ...tuple('192.0.2.1', 5201, '198.51.100.7', 40000 + flow),
          kind: (out ? 1 : 0) | (130 << 8),
          flowid: 0xfff0_0000 + flow,
          sec: Math.floor(now / 1e6),
          usec: now % 1e6,
        });
      }
      now += 1000;
      await control.disable();
      await control.close();
    });
    afterAll(() => rmSync(dir, { recursive: true }));

    test('accepts a log of four queues and ten flows and finds every record with its flow', () => {
      const r = parse(log);
      expect(r.err).toBe('');
      expect(r.status).toBe(0);
      expect(r.out.data).toBe(1980);
      expect(r.out.listed).toHaveLength(10);
      expect(r.out.states).toEqual([4]);
      // 200 packets each; every hundredth, all of flow 9, was skipped.
      const records = Object.values(r.out.flows).map((f) => f.i + f.o);
      expect(records).toEqual([200, 200, 200, 200, 200, 200, 200, 200, 200, 180]);
    });

    test('accepts a log of ipmode 6, with IPv6 in the text of RFC 5952 and IPv4 as dotted quads, and the key of the modes', async () => {
      const six = join(dir, 'six.log');
      const buf = createRing(1024);
      const ring = new RecordProducer(buf);
      const shard = new Float64Array(COUNTER_SLOTS);
      const cfg = createSiftrShared();
      writeKnobs(
        cfg,
        new Map([
          ['net.inet.siftr.ipmode', '6'],
          ['net.inet.siftr.hook', 'tcp'],
          ['net.inet.siftr.inflight', 'pipe'],
        ]),
      );
      let text = '';
      const writer = new SiftrWriter([buf], cfg, new Float64Array(COUNTER_SLOTS));
      writer.begin(
        {
          write: (b, off, len) => {
            text += Buffer.from(b.subarray(off, off + len)).toString('latin1');
            return len;
          },
        },
        Infinity,
      );
      const flows = [
        ['192.0.2.1', '198.51.100.7'],
        ['2001:db8::1', '2001:db8:0:1:1:1:1:1'],
        ['2001:db8:0:0:1:0:0:1', 'fe80::1'],
        ['1:0:2:0:3:0:0:5', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
      ].map((pair) => pair.map((a) => inetPton(a)!));
      for (let n = 0; n < 400; n++) {
        const [l, f] = flows[n % 4]!;
        shard[siftrs.siftrs_n_out]!++;
        push(ring, {
          ...MAN_DATA_VALUES,
          ...Object.fromEntries(
            [0, 1, 2, 3].flatMap((i) => [
              [`l${i}`, l![i]!],
              [`f${i}`, f![i]!],
            ]),
          ),
          flowid: 1 + (n % 4),
          kind: 1 | ((n % 4 === 0 ? 130 : 132) << 8),
          sec: START / 1e6,
          usec: n,
        });
      }
      const end = writer.end(() => false);
      writeFileSync(
        six,
        enableLine(START, identOf(siftrIdent('0.1.0'), cfg)) +
          text +
          disableLine(START + 1000, cycleCounts([shard]), end.flowList),
      );
      const r = parse(six);
      expect(r.err).toBe('');
      expect(r.out.data).toBe(400);
      expect(r.out.listed).toEqual([
        '192.0.2.1,32291,198.51.100.7,5001',
        '2001:db8::1,32291,2001:db8:0:1:1:1:1:1,5001',
        '2001:db8::1:0:0:1,32291,fe80::1,5001',
        '1:0:2:0:3::5,32291,ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff,5001',
      ]);
      // The reader with fixed places for keys, addresses and flows, the one that sees a table, and our own.
      const fixed = new FixedReader();
      const byPlaces = fixed.read(six);
      fixed.remove();
      expect(byPlaces.err).toBe('');
      expect(byPlaces.out.flows.map((f) => [f.flow, f.records])).toEqual(r.out.listed.map((flow) => [flow, 100]));
      expect(readTable(six)).toMatchObject({ status: 0, out: { rows: 400, out: 400 } });
      const seen: Record<string, number> = {};
      for await (const item of readSiftr(six, { flow: '*;*-2001:db8::/32;*' })) {
        if (item.type === 'enable') expect(item).toMatchObject({ ipmode: 6, modes: ['hook:tcp', 'inflight:pipe'] });
        const key = item.type === 'sample' ? item.faddr : item.type;
        seen[key] = (seen[key] ?? 0) + 1;
      }
      expect(seen).toEqual({ enable: 1, '2001:db8:0:1:1:1:1:1': 100, disable: 1 });
      // The longest line and what it may be made of still fit the room that they have.
      expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThan(DATA_LINE_MAX);
      // With ipmode 4 the same addresses are refused, so that their acceptance means something.
      const four = join(dir, 'four.log');
      writeFileSync(four, readFileSync(six, 'utf8').replace('ipmode=6', 'ipmode=4'));
      expect(parse(four).status).toBe(1);
    });

    const spoilt: [string, (text: string) => string][] = [
      ['a 28th data field', (t) => t.replace(/,130\n/, ',130,0\n')],
      ['a 14th key in the disable line', (t) => t.replace('\tflow_list=', '\tmore=1\tflow_list=')],
      ['a missing line', (t) => t.replace(/\n[io],.*\n/, '\n')],
      ['a flowid of 0', (t) => t.replace(/,4293918720,130\n/, ',0,130\n')],
      ['blanks for TABs in the enable line', (t) => t.replace(/\t/, ' ')],
      ['a fraction of five digits', (t) => t.replace(/^(i,[0-9]+\.)0/m, '$1')],
      ['a flow list without its last comma', (t) => t.replace(/,\n$/, '\n')],
      ['a missing disable line', (t) => t.replace(/disable_time.*\n$/, '')],
    ];
    test.each(spoilt)('refuses %s, so that its acceptance means something', (_what, spoil) => {
      const bad = join(dir, 'bad.log');
      const text = readFileSync(log, 'utf8');
      const changed = spoil(text);
      expect(changed).not.toBe(text);
      writeFileSync(bad, changed);
      expect(parse(bad).status).toBe(1);
    });
  },
);
