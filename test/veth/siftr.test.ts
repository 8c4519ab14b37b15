import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readCounters } from '../lab/counters.ts';
import { type Lab, labMissing, NEAR_ADDRESS, startXsiftr, withLab, type Xsiftr } from '../lab/netns.ts';

const PARSER = join(import.meta.dirname, '../fixtures/parse_siftr.py');
const BYTES = 300_000;

interface Parsed {
  counts: Record<string, number>;
  data: number;
  rows: { i: number; o: number };
  states: number[];
  flows: Record<string, { flow: string; i: number; o: number; max_cwnd: number; types: number[] }>;
  listed: string[];
}

/** Reads a log with the outside reader, which must have nothing to complain about. */
function parse(path: string, suppressed = 0): Parsed {
  const r = spawnSync('python3', [PARSER, '--suppressed', String(suppressed), path], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  expect(r.stderr).toBe('');
  expect(r.status).toBe(0);
  return JSON.parse(r.stdout) as Parsed;
}

/** One HTTP connection. */
async function get(lab: Lab, bytes = BYTES): Promise<void> {
  const r = await lab.far(
    `curl -sS -m 20 -o /dev/null -w '%{http_code} %{size_download}' http://${NEAR_ADDRESS}/bytes/${bytes}`,
  );
  expect(r.stdout).toBe(`200 ${bytes}`);
}

/** Waits until every connection is closed on our side too: curl can be gone before its last segments are here. */
async function quiet(x: Xsiftr): Promise<void> {
  await expect
    .poll(async () => (await x.command(['netstat', '-n'])).stdout, { timeout: 5000 })
    .not.toMatch(/ESTABLISHED|SYN_|FIN_WAIT|CLOS|LAST_ACK/);
}

/** TCP counters of the peer's kernel. */
async function peerSegments(lab: Lab): Promise<{ sent: number; received: number }> {
  const out = (await lab.far('nstat -asz TcpInSegs TcpOutSegs TcpRetransSegs')).stdout;
  const value = (name: string): number => Number(new RegExp(`^${name}\\s+(\\d+)`, 'm').exec(out)?.[1]);
  return { sent: value('TcpOutSegs') + value('TcpRetransSegs'), received: value('TcpInSegs') };
}

const set = (x: Xsiftr, leaf: string, value: string | number): Promise<unknown> =>
  x.command(['sysctl', `net.inet.siftr.${leaf}=${value}`]);

const sum = (values: Iterable<number>): number => [...values].reduce((a, b) => a + b, 0);

const missing = labMissing('python3', 'curl', 'nstat', 'flock');

describe.skipIf(missing !== '')('SIFTR on a veth pair', () => {
  test('the lines of a few packets are in the file while the log goes on', async () => {
    await withLab('siftr', { peerOffloads: false }, async (lab) => {
      const x = await startXsiftr(lab);
      await get(lab, 100);
      await quiet(x);
      const c = await readCounters(x);
      const total = (what: string): number =>
        (c.get(`siftr_${what}`) ?? 0) + (c.get(`siftr_${what.replace('in', 'out')}`) ?? 0);
      const skipped = total('nskip_in_inpcb') + total('nskip_in_tcpcb') + total('nskip_in_malloc');
      const expected = total('n_in') - skipped;
      expect(expected).toBeGreaterThan(3);
      // Behind the enable line.
      await expect.poll(() => readFileSync(x.siftrLog, 'latin1').split('\n').length - 2).toBe(expected);
    });
  });

  test.each([1, 4])(
    'the log of %i queues has every packet that the peer sent and received (spec/siftr.md section 13 rule 10 b, c, d)',
    async (queues) => {
      await withLab('siftr', { queues, peerOffloads: false }, async (lab) => {
        const x = await startXsiftr(lab);
        const before = await peerSegments(lab);
        const connections = 8;
        for (let i = 0; i < connections; i++) await get(lab);
        await quiet(x);
        // Nothing more is to come then, and what was sent last is on its way to the peer at most.
        let after = before;
        await expect
          .poll(async () => {
            after = await peerSegments(lab);
            const ours = await readCounters(x);
            return [
              ours.get('tcp_rcvtotal')! + before.sent - after.sent,
              ours.get('tcp_sndtotal')! + before.received - after.received,
            ];
          })
          .toEqual([0, 0]);
        expect(await x.stop()).toBe(0);

        const log = parse(x.siftrLog);
        expect(log.counts).toMatchObject({
          num_inbound_tcp_pkts: after.sent - before.sent,
          num_outbound_tcp_pkts: after.received - before.received,
          num_inbound_skipped_pkts_malloc: 0,
          num_outbound_skipped_pkts_malloc: 0,
          num_inbound_skipped_pkts_tcpcb: 0,
          num_outbound_skipped_pkts_tcpcb: 0,
          num_inbound_skipped_pkts_inpcb: 2 * connections,
          num_outbound_skipped_pkts_inpcb: connections,
        });
        expect(log.listed).toHaveLength(connections);
        const flows = Object.values(log.flows);
        expect(flows).toHaveLength(connections);
        expect(sum(flows.map((f) => f.i))).toBe(log.rows.i);
        // Each connection carried the reply: at least so many full segments went out.
        for (const f of flows) expect(f.o).toBeGreaterThanOrEqual(Math.ceil(BYTES / 1460));
        for (const f of flows) expect(f.flow).toMatch(/^192\.0\.2\.1,80,192\.0\.2\.2,\d+$/);
      });
    },
  );

  test('the sysctls of a running one: cycles, port filter, ppl, log file, and a log that another holds', async () => {
    await withLab('siftr', { peerOffloads: false }, async (lab) => {
      const x = await startXsiftr(lab, ['--no-siftr', '--serve', 'http,discard']);
      const file = (name: string): string => join(lab.dir, name);

      // Only packets from or to the port are counted at all.
      await set(x, 'logfile', file('filter.log'));
      await set(x, 'port_filter', 9);
      await set(x, 'enabled', 1);
      await get(lab);
      await lab.far(['bash', '-c', `head -c 100000 /dev/zero > /dev/tcp/${NEAR_ADDRESS}/9`]);
      await quiet(x);
      await set(x, 'enabled', 0);
      const filtered = parse(file('filter.log'));
      expect(filtered.listed).toHaveLength(1);
      expect(filtered.listed[0]).toMatch(/^192\.0\.2\.1,9,/);
      expect(filtered.counts['num_inbound_skipped_pkts_inpcb']).toBe(2);

      // hook=tcp and inflight=pipe: the ACK that makes the connection is a line, and only the flows of the filter are counted.
      await set(x, 'port_filter', 0);
      await set(x, 'logfile', file('tcp.log'));
      await set(x, 'hook', 'tcp');
      await set(x, 'inflight', 'pipe');
      await set(x, 'flow_filter', '192.0.2.0/24;80-*;*');
      await set(x, 'enabled', 1);
      const busy = await x.command(['sysctl', 'net.inet.siftr.hook=ip'], { check: false });
      expect(busy.stderr).toContain('net.inet.siftr.hook=ip: holds for whole cycles');
      await lab.far(['bash', '-c', `head -c 1000 /dev/zero > /dev/tcp/${NEAR_ADDRESS}/9`]);
      await get(lab);
      await quiet(x);
      await set(x, 'enabled', 0);
      expect(readFileSync(file('tcp.log'), 'utf8')).toMatch(/^.*\tipmode=4\txsiftr=hook:tcp,inflight:pipe\n/);
      const after = parse(file('tcp.log'));
      expect(after.listed).toHaveLength(1);
      expect(after.counts).toMatchObject({
        num_inbound_skipped_pkts_inpcb: 1,
        num_outbound_skipped_pkts_inpcb: 1,
        total_skipped_tcp_pkts: 2,
      });
      await set(x, 'hook', 'ip');
      await set(x, 'inflight', 'flightsize');
      await set(x, 'flow_filter', '');
      const kstat = (await x.command(['kstat', 'siftr-age', 'siftr-clock'])).stdout;
      expect(kstat).toMatch(/^ix1:0:siftr-age:0$/m);
      expect(kstat).toMatch(/^ix1:0:siftr-clock:0$/m);

      // ppl 10: a tenth of one flow's records, rounded down.
      await set(x, 'logfile', file('ppl.log'));
      await set(x, 'ppl', 10);
      await set(x, 'enabled', 1);
      await get(lab);
      await set(x, 'enabled', 0);
      const last = readFileSync(file('ppl.log'), 'utf8').trimEnd().split('\n').at(-1)!;
      const number = (key: string): number => Number(new RegExp(`\\b${key}=(\\d+)`).exec(last)?.[1]);
      const records = number('total_tcp_pkts') - number('total_skipped_tcp_pkts');
      const lines = Math.floor(records / 10);
      expect(parse(file('ppl.log'), records - lines).data).toBe(lines);

      // A switch while enabled: a whole cycle in either file, each with its own flow and its own sum.
      await set(x, 'ppl', 1);
      await set(x, 'logfile', file('first.log'));
      await set(x, 'enabled', 1);
      await get(lab);
      await quiet(x);
      await set(x, 'logfile', file('second.log'));
      await get(lab);
      await set(x, 'enabled', 0);
      const cycles = [parse(file('first.log')), parse(file('second.log'))];
      expect(cycles.map((c) => c.listed.length)).toEqual([1, 1]);
      expect(cycles[0]!.listed).not.toEqual(cycles[1]!.listed);

      // As in FreeBSD: the cycle's first line is in the old file, its last one in the new.
      await set(x, 'logfile_markers', 0);
      await set(x, 'logfile', file('one.log'));
      await set(x, 'enabled', 1);
      await get(lab);
      await set(x, 'logfile', file('two.log'));
      await get(lab);
      await set(x, 'enabled', 0);
      const both = readFileSync(file('one.log'), 'utf8') + readFileSync(file('two.log'), 'utf8');
      expect(readFileSync(file('one.log'), 'utf8')).not.toContain('disable_time_secs');
      writeFileSync(file('both.log'), both);
      expect(parse(file('both.log')).listed).toHaveLength(2);

      // Out of range, unknown, and held by another.
      for (const bad of ['enabled=2', 'port_filter=70000', 'ppl=4294967296', 'genhashes=1']) {
        const r = await x.command(['sysctl', `net.inet.siftr.${bad}`], { check: false });
        expect(r.code, bad).not.toBe(0);
        expect(r.stderr.trimEnd().split('\n'), bad).toHaveLength(1);
      }
      const holder: ChildProcess = spawn('flock', ['-x', file('held.log'), 'sleep', '60'], { detached: true });
      await expect.poll(() => spawnSync('flock', ['-n', file('held.log'), 'true']).status, { timeout: 5000 }).toBe(1);
      const held = await x.command(['sysctl', `net.inet.siftr.logfile=${file('held.log')}`], { check: false });
      process.kill(-holder.pid!);
      expect(held.code).not.toBe(0);
      expect(held.stderr).toContain('another process writes to it');
      const name = await x.command(['sysctl', 'net.inet.siftr.logfile']);
      expect(name.stdout.trim()).toBe(`net.inet.siftr.logfile: ${file('two.log')}`);
      expect(await x.stop()).toBe(0);
      const wrote = x.lines.find((line) => line.includes('SIFTR wrote'));
      expect(wrote).toMatch(new RegExp(` lines to ${file('two.log')} and 6 files before it, skipped \\d+$`));
    });
  });

  test('SIGHUP goes on in a new file after the log was renamed', async () => {
    await withLab('siftr', { peerOffloads: false }, async (lab) => {
      const x = await startXsiftr(lab);
      await get(lab);
      await quiet(x);
      renameSync(x.siftrLog, `${x.siftrLog}.0`);
      x.running.child.kill('SIGHUP');
      await expect
        .poll(() => spawnSync('head', ['-c', '17', x.siftrLog], { encoding: 'utf8' }).stdout, { timeout: 5000 })
        .toBe('enable_time_secs=');
      await get(lab);
      expect(await x.stop()).toBe(0);
      const old = readFileSync(`${x.siftrLog}.0`, 'utf8').trimEnd().split('\n');
      const next = readFileSync(x.siftrLog, 'utf8').trimEnd().split('\n');
      expect(next[0]).toBe(old[0]);
      expect(next.at(-1)).toMatch(/^disable_time_secs=/);
      const port = (line: string): string => line.split(',')[5]!;
      expect(new Set(old.slice(1).map(port)).size).toBe(1);
      expect(new Set(next.slice(1, -1).map(port)).size).toBe(1);
      expect(port(old.at(-1)!)).not.toBe(port(next[1]!));
    });
  });

  test('a log that reaches its limit is closed with its disable line, one warning and a metric', async () => {
    await withLab('siftr', { peerOffloads: false }, async (lab) => {
      const x = await startXsiftr(lab, ['--siftr-limit', '64K']);
      await get(lab, 3_000_000);
      await expect
        .poll(async () => (await x.command(['sysctl', '-n', 'net.inet.siftr.enabled'])).stdout.trim(), {
          timeout: 5000,
        })
        .toBe('0');
      const log = parse(x.siftrLog);
      expect(log.data).toBeGreaterThan(300);
      const lines = readFileSync(x.siftrLog, 'latin1').trimEnd().split('\n');
      const size = lines.slice(0, -1).join('\n').length + 1;
      expect(size).toBeGreaterThanOrEqual(65536);
      expect(size - lines.at(-2)!.length - 1).toBeLessThan(65536);
      const scrape = await (await fetch(`${x.metrics}/metrics`)).text();
      expect(
        sum([...scrape.matchAll(/^xsiftr_siftr_limit_reached_total(?:\{.*\})? (\d+)$/gm)].map((m) => Number(m[1]))),
      ).toBe(1);
      expect(x.running.errorLines.filter((l) => l.includes('limit'))).toHaveLength(1);
      expect(await x.stop()).toBe(0);
    });
  });
});
