import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Sample } from '../../../src/log/model.ts';
import { openLog } from '../../../src/log/open.ts';
import { type SsOptions, SsTable } from '../../../src/views/ss.ts';
import { brokenOf, items, read, samplesOf } from './reading.ts';

/**
 * Texts of Linux 6.18 and iproute2 6.1, taken with an iperf3 over a veth pair with tbf. Of the traces some lines are chosen, names of interrupted processes
 * and addresses of the kernel replaced.
 */
const fixture = (name: string): string => join(import.meta.dirname, '../../fixtures/log', name);

/** What neither tells. */
const UNKNOWN = { flags2: null, flags: null, segqlen: null, flowid: null, flowtype: null };

describe('a trace of tcp:tcp_probe', () => {
  test('as tracefs has it: bytes and microseconds as the kernel prints them, windows in segments not without their size', async () => {
    const reader = await openLog(fixture('tcp-probe.trace'));
    expect(reader.format).toBe('tcp_probe');
    const all = await items(reader);
    expect(brokenOf(all)).toEqual([]);
    expect(all).toHaveLength(11);
    expect(all[1]).toEqual({
      ...UNKNOWN,
      type: 'sample',
      line: 14,
      timeUs: 48596977236,
      dir: 'i',
      laddr: '192.0.2.1',
      lport: 38360,
      faddr: '192.0.2.2',
      fport: 5201,
      ssthresh: Infinity,
      cwnd: null,
      sndWnd: 65160,
      rcvWnd: 64512,
      sndScale: null,
      rcvScale: null,
      state: null,
      mss: null,
      srtt: 58,
      sack: null,
      rto: null,
      sndHiwat: null,
      sndCc: null,
      rcvHiwat: null,
      rcvCc: null,
      // 0xcd08e3d1 - 0xcd08e3ac
      inflight: 37,
    } satisfies Sample);
  });

  test('with the size of a segment, windows are bytes', async () => {
    const samples = samplesOf(await items(await openLog(fixture('tcp-probe.trace'), { mss: 1448 })));
    const flow = samples.filter((s) => s.lport === 38368);
    expect(flow.map((s) => [s.cwnd, s.ssthresh, s.mss])).toEqual([
      [29 * 1448, Infinity, 1448],
      [30 * 1448, Infinity, 1448],
      [30 * 1448, 30 * 1448, 1448],
      [30 * 1448, 30 * 1448, 1448],
      [30 * 1448, 30 * 1448, 1448],
    ]);
    // 0x91d7ef1e - 0x91d75666
    expect(flow[0]).toMatchObject({ inflight: 39096, srtt: 19377 });
  });

  test('an IPv4 address of a socket of IPv6 is one of IPv4, one of IPv6 has no brackets', async () => {
    const samples = samplesOf(await items(await openLog(fixture('tcp-probe.trace'))));
    expect([samples[0]!.laddr, samples[0]!.faddr]).toEqual(['192.0.2.2', '192.0.2.1']);
    expect([samples[10]!.laddr, samples[10]!.lport, samples[10]!.faddr]).toEqual(['2001:db8::1', 51962, '2001:db8::2']);
  });

  test('as perf script has it, with microseconds and with nanoseconds', async () => {
    const text = readFileSync(fixture('tcp-probe.perf'), 'utf8');
    const samples = samplesOf(await read(text));
    expect(samples.map((s) => [s.timeUs, s.laddr, s.lport, s.srtt])).toEqual([
      [48570413440, '192.0.2.1', 46272, 64],
      [48570458060, '192.0.2.2', 5201, 20],
    ]);
    const [ns] = samplesOf(await read(text.replace('48570.413440:', '48570.413440250:')));
    expect(ns!.timeUs).toBe(48570413440.25);
  });

  test('as trace-cmd report has it', async () => {
    const text =
      'cpus=2\n          iperf3-3829  [001] 1892945.576997: tcp_probe:            family=AF_INET src=192.0.2.1:58760 dest=192.0.2.2:5201 mark=0x0 data_len=0 snd_nxt=0x100 snd_una=0xffffff00 snd_cwnd=10 ssthresh=7 snd_wnd=65536 srtt=105 rcv_wnd=65536 sock_cookie=1\n';
    const all = await read(text, { mss: 1000 });
    // Sequence numbers wrap.
    expect(all).toMatchObject([
      { timeUs: 1892945576997, lport: 58760, cwnd: 10000, ssthresh: 7000, srtt: 105, inflight: 512 },
    ]);
  });

  test('other events are passed over; lost events and what is no line of a trace are reported', async () => {
    const [head, ...lines] = readFileSync(fixture('tcp-probe.trace'), 'utf8').split('\n');
    const other =
      '          iperf3-14      [000] ..s1. 48597.053798: tcp_retransmit_skb: family=AF_INET sport=38368 dport=5201';
    const text = [head, other, 'CPU:1 [LOST 4711 EVENTS]', 'hello', ...lines].join('\n');
    const all = await read(text);
    expect(samplesOf(all)).toHaveLength(11);
    expect(brokenOf(all)).toEqual([
      { type: 'broken', line: 3, why: 'the kernel lost 4711 events here' },
      { type: 'broken', line: 4, why: 'not a line of a trace' },
    ]);
  });

  test('an event whose addresses or numbers make no sense is reported', async () => {
    const text = readFileSync(fixture('tcp-probe.trace'), 'utf8')
      .replace('src=[::ffff:192.0.2.2]', 'src=[')
      .replace('snd_wnd=65160', 'snd_wnd=-1')
      .replace('srtt=52', 'srtt=-52');
    expect(brokenOf(await read(text))).toMatchObject([
      { line: 13, why: 'no src and dest with ports' },
      { line: 14, why: 'sndWnd -1: not a whole number below 2^32' },
      { line: 15, why: 'srtt -52: not a time' },
    ]);
    const age = text.split('\n')[13]!.replace(/ \d+\.\d+: /, ` ${'9'.repeat(400)}.0: `);
    expect(await read(`${age}\n`, { format: 'tcp_probe' })).toMatchObject([{ why: 'not a line of a trace' }]);
  });
});

describe('polls with ss -tinO', () => {
  test('each socket of a poll is a sample at its time; windows in segments are times mss', async () => {
    const reader = await openLog(fixture('ss-polls.txt'));
    expect(reader.format).toBe('ss');
    const all = await items(reader);
    expect(brokenOf(all)).toEqual([]);
    expect(all).toHaveLength(6);
    expect(all[3]).toEqual({
      ...UNKNOWN,
      type: 'sample',
      line: 10,
      // …466.388 ns, as near as a double comes.
      timeUs: 1795298173685466.5,
      dir: null,
      laddr: '192.0.2.1',
      lport: 38368,
      faddr: '192.0.2.2',
      fport: 5201,
      ssthresh: 21 * 1448,
      cwnd: 20 * 1448,
      sndWnd: 129024,
      rcvWnd: null,
      sndScale: 10,
      rcvScale: 10,
      state: 4,
      mss: 1448,
      srtt: 39646,
      sack: null,
      rto: 240000,
      sndHiwat: null,
      sndCc: 136112,
      rcvHiwat: null,
      rcvCc: 0,
      inflight: 57 * 1448,
    } satisfies Sample);
    // ss leaves out a threshold that is not set, and unacked where it is 0.
    expect(all[0]).toMatchObject({ ssthresh: Infinity, cwnd: 13 * 1448, inflight: 0, srtt: 157 });
  });

  test('without -O the details are on a line of their own; -o, -e and -m tell more', async () => {
    const text =
      '1795298173.5\nState Recv-Q Send-Q Local Address:Port Peer Address:Port Process\n' +
      'ESTAB 0      7     [2001:db8::1]%eth0:22 [2001:db8::2]:40000 timer:(on,204ms,0) ino:1 sk:2 <->\n' +
      '\t ts sack cubic wscale:7,9 rto:201.5 rtt:1.25/0.5 mss:1000 cwnd:10 unacked:2 rcv_wnd:4096 skmem:(r0,rb131072,t0,tb87040,f0,w0,o0,bl0,d0)\n' +
      'LISTEN 0 128 0.0.0.0:22 0.0.0.0:*\nTIME-WAIT 0 0 192.0.2.1:80 192.0.2.2:81\n\n';
    expect(await read(text)).toMatchObject([
      {
        line: 3,
        timeUs: 1795298173.5e6,
        laddr: '2001:db8::1',
        lport: 22,
        faddr: '2001:db8::2',
        sack: true,
        srtt: 1250,
        rto: 201500,
        sndScale: 7,
        rcvScale: 9,
        inflight: 2000,
        rcvWnd: 4096,
        rcvHiwat: 131072,
        sndHiwat: 87040,
        sndCc: 7,
      },
      { line: 6, state: 10, cwnd: null, ssthresh: null, inflight: null },
    ]);
  });

  test('with a Netid column, and without State, which ss leaves out where there is but one', async () => {
    const text =
      '1795298173\ntcp ESTAB 1 2 192.0.2.1:80 192.0.2.2:81 cubic mss:1000 cwnd:3\n1795298174\n3      4      192.0.2.1:80 192.0.2.2:81 cubic mss:1000 cwnd:4\n';
    expect(await read(text)).toMatchObject([
      { state: 4, rcvCc: 1, sndCc: 2, cwnd: 3000 },
      { state: null, rcvCc: 3, sndCc: 4, cwnd: 4000 },
    ]);
  });

  test('xsiftr ss is read as ss is', async () => {
    const options: SsOptions = { info: true, oneline: true, numeric: true, noNetid: true, options: true };
    const table = new SsTable(options);
    const record = {
      state: 'ESTAB',
      laddr: '192.0.2.1',
      lport: 80,
      faddr: '192.0.2.2',
      fport: 4000,
      recv_q: 5,
      send_q: 6,
      sack: true,
      cc: 'cubic',
      snd_wscale: 6,
      rcv_wscale: 7,
      rto_us: 320025,
      rtt_us: 40009,
      rttvar_us: 20000,
      mss_bytes: 1448,
      cwnd_bytes: 14480,
      ssthresh_bytes: 28960,
      unacked_bytes: 2896,
      snd_wnd_bytes: 65535,
      rcv_wnd_bytes: 65700,
    };
    const text = `1795298173.000001\n${table.add(record as Parameters<SsTable['add']>[0])}${table.end()}`;
    expect(await read(text)).toMatchObject([
      {
        timeUs: 1795298173000001,
        state: 4,
        lport: 80,
        fport: 4000,
        rcvCc: 5,
        sndCc: 6,
        sack: true,
        sndScale: 6,
        rcvScale: 7,
        srtt: 40009,
        rto: 320025,
        mss: 1448,
        cwnd: 14480,
        ssthresh: 28960,
        inflight: 2896,
        sndWnd: 65535,
        rcvWnd: 65700,
      },
    ]);
  });

  test('NUL bytes in front of the details are reported behind the socket that they are of, and the details are read', async () => {
    const text =
      '1700000000.5\nESTAB 0 0 192.0.2.1:80 192.0.2.2:40000\n\0\0\t cubic mss:1448 cwnd:10\n1700000001.5\n\0\0\n';
    const items = await read(Buffer.from(text), { format: 'ss' });
    expect(items).toMatchObject([
      { type: 'sample', line: 2, cwnd: 14480 },
      { type: 'broken', line: 3, why: '2 NUL bytes' },
      { type: 'broken', line: 5, why: '2 NUL bytes' },
    ]);
    expect(items).toHaveLength(3);
  });

  test('what is no line of ss, and a socket before the first time, are reported', async () => {
    const text = readFileSync(fixture('ss-polls.txt'), 'utf8');
    const socket = text.split('\n')[4]!;
    const all = await read(`${socket}\n${text}what\nWEIRD 0 0 192.0.2.1:1 192.0.2.2:2\nESTAB 0 0 a b\n${socket}`);
    expect(samplesOf(all)).toHaveLength(6);
    expect(brokenOf(all).map((b) => `${b.line}: ${b.why}`)).toEqual([
      '1: no line with the time of the poll before it',
      '16: not a line of ss',
      '17: WEIRD: not a state of ss',
      '18: not two addresses with ports',
      '19: the last line has no end',
    ]);
  });
});
