import { describe, expect, it } from 'vitest';
import type { ConnRecord } from '../../../src/views/conn.ts';
import { fmtG, fmtRate, fmtTimer, SsSummary, SsTable, ssDetails } from '../../../src/views/ss.ts';
import { parseSs } from '../../lab/ss-line.ts';

const conn = (lport: number, fport: number, more: ConnRecord = {}): ConnRecord => ({
  state: 'ESTAB',
  recv_q: 0,
  send_q: 0,
  laddr: '192.0.2.1',
  lport,
  faddr: '192.0.2.2',
  fport,
  ...more,
});

describe('numbers', () => {
  it.each([
    // What printf '%g' of GNU coreutils prints.
    [0.012, '0.012'],
    [204, '204'],
    [2.88672, '2.88672'],
    [123456.7, '123457'],
    [100000, '100000'],
    [999999.5, '1e+06'],
    [1000000, '1e+06'],
    [0.0001, '0.0001'],
    [0.00001234, '1.234e-05'],
    [0, '0'],
  ])('%d is %s, as C prints it', (v, text) => {
    expect(fmtG(v)).toBe(text);
  });

  it.each([
    // Rates of one socket with and without -n (iproute2 6.1).
    [218453333333, '218453333333', '218G'],
    [141584864865, '141584864865', '142G'],
    [61439996336, '61439996336', '61.4G'],
    [87310666664, '87310666664', '87.3G'],
    [1817288, '1817288', '1.82M'],
    [0, '0', '0'],
  ])('%d bit/s is %s with -n and %s without', (v, whole, short) => {
    expect([fmtRate(v, true), fmtRate(v, false)]).toEqual([whole, short]);
  });

  it.each([
    // Of a listing in the history of iproute2, and of a socket with keepalive.
    [476, '476ms'],
    [1098, '1.098ms'],
    [9501, '9.501ms'],
    [13_000, '13sec'],
    [13_500, '13sec'],
    [7_192_000, '119min'],
    [65_000, '1min5sec'],
    [4, '004ms'],
  ])('a timer with %d ms left shows %s', (ms, text) => {
    expect(fmtTimer(ms)).toBe(text);
  });
});

/** What iproute2 6.1 printed of a connection over loopback, without the words for what this stack has not: rcv_ssthresh. */
const LINUX =
  'skmem:(r0,rb131072,t0,tb3939840,f0,w0,o0,bl0,d0) bbr wscale:10,10 rto:204 rtt:0.009/0.004 mss:53760 pmtu:65535 rcvmss:536 advmss:65483 cwnd:11 bytes_sent:5000 bytes_acked:5001 segs_out:3 segs_in:2 data_segs_out:1 bbr:(bw:61439996336bps,mrtt:0.007,pacing_gain:2.88672,cwnd_gain:2.88672) send 525653333333bps lastsnd:404 lastrcv:404 lastack:404 pacing_rate 748551344056bps delivery_rate 61440000000bps delivered:2 app_limited rcv_space:65495 minrtt:0.007 snd_wnd:107520';

const BBR: ConnRecord = {
  state: 'ESTAB',
  send_q: 0,
  rcvmem_bytes: 0,
  rcvbuf_bytes: 131072,
  sndbuf_bytes: 3939840,
  ts: true,
  sack: true,
  ecn: false,
  cc: 'bbr',
  snd_wscale: 10,
  rcv_wscale: 10,
  rto_us: 204000,
  backoff: 0,
  rtt_us: 9,
  rttvar_us: 4,
  mss_bytes: 53760,
  pmtu_bytes: 65535,
  rcvmss_bytes: 536,
  advmss_bytes: 65483,
  cwnd_bytes: 11 * 53760 + 53759,
  bytes_sent: 5000,
  bytes_retrans: 0,
  bytes_acked: 5001,
  bytes_received: 0,
  segs_out: 3,
  segs_in: 2,
  data_segs_out: 1,
  data_segs_in: 0,
  lastsnd_ms: 404,
  lastrcv_ms: 404,
  lastack_ms: 404,
  pacing_rate: 748551344056 / 8,
  delivery_rate: 61440000000 / 8,
  delivered_bytes: 53761,
  app_limited: true,
  rcv_space_bytes: 65495,
  min_rtt_us: 7,
  snd_wnd_bytes: 107520,
  cc_info: { bw: 61439996336 / 8, min_rtt: 7, pacing_gain: 2.88672, cwnd_gain: 2.88672 },
};

describe('the words of ss -tinm', () => {
  it('are those that Linux prints of the same numbers, in its order', () => {
    expect(ssDetails(BBR, { info: true, memory: true, numeric: true, oneline: true })).toBe(` ${LINUX}`);
  });

  it('follow a tab on a line of their own without -O', () => {
    expect(ssDetails(BBR, { info: true, memory: true, numeric: true })).toBe(`\n\t ${LINUX}`);
    expect(ssDetails(BBR, {})).toBe('');
  });

  it('have the TCP options before congestion control with -o or -e, and what identifies the socket with -e', () => {
    expect(ssDetails(BBR, { info: true, options: true, oneline: true })).toMatch(/^ ts sack bbr wscale:10,10 /);
    const e = { ...BBR, flowid: 0x106e, rcv_shut: false, snd_shut: true };
    expect(ssDetails(e, { extended: true })).toBe(' ino:0 sk:106e <--');
    const t = { ...BBR, timer: 'on', timer_us: 204_000, timer_count: 2 };
    expect(ssDetails(t, { options: true })).toBe(' timer:(on,204ms,2)');
  });

  it('tell of losses, limits and marks where there are some, in segments of full size', () => {
    const r: ConnRecord = {
      ...BBR,
      cc: 'dctcp',
      cc_info: { alpha: 0.25, bytes_acked: 1000, bytes_marked: 250 },
      ce_state: true,
      mss_bytes: 1448,
      ssthresh_bytes: 14480,
      busy_ms: 2000,
      rwnd_limited_ms: 500,
      sndbuf_limited_ms: 1,
      unacked_bytes: 14481,
      retrans_bytes: 1448,
      retrans_total: 7,
      lost_bytes: 2896,
      sacked_bytes: 1,
      dsack_dups: 3,
      reord_seen: 4,
      notsent_bytes: 99,
      rcv_ooopack: 5,
      delivered_ce_bytes: 2000,
    };
    const line = ssDetails(r, { info: true, numeric: true, oneline: true });
    expect(line).toContain(' ssthresh:10 ');
    expect(line).toContain(' dctcp:(ce_state:1,alpha:256,ab_ecn:250,ab_tot:1000) ');
    expect(line).toContain(
      ' delivered_ce:2 app_limited busy:2000ms rwnd_limited:500ms(25.0%) sndbuf_limited:1ms(0.1%) unacked:11 retrans:1/7 lost:2 sacked:1 dsack_dups:3 reord_seen:4 rcv_space:65495 notsent:99 minrtt:0.007 rcv_ooopack:5 ',
    );
    expect(parseSs(`ESTAB 0 0 192.0.2.1:80 192.0.2.2:5${line}`)).toHaveLength(1);
  });

  it('are none in TIME-WAIT, and few of a listening socket', () => {
    expect(ssDetails({ ...BBR, state: 'TIME-WAIT' }, { info: true, memory: true })).toBe('');
    const l: ConnRecord = { state: 'LISTEN', send_q: 128, rcvbuf_bytes: 65536, sndbuf_bytes: 32768, cc: 'cubic' };
    expect(ssDetails(l, { info: true, memory: true, oneline: true })).toBe(
      ' skmem:(r0,rb65536,t0,tb32768,f0,w0,o0,bl0,d0) cubic',
    );
  });
});

describe('the columns', () => {
  const table = (rows: ConnRecord[], o: object): string => {
    const t = new SsTable(o);
    return rows.map((r) => t.add(r)).join('') + t.end();
  };
  const rows: ConnRecord[] = [
    { state: 'LISTEN', recv_q: 0, send_q: 5, laddr: '127.0.0.1', lport: 8080, faddr: '0.0.0.0' },
    { state: 'ESTAB', recv_q: 5000, send_q: 0, laddr: '127.0.0.1', lport: 8080, faddr: '127.0.0.1', fport: 46390 },
    { state: 'ESTAB', recv_q: 1234, send_q: 0, laddr: '127.0.0.1', lport: 46382, faddr: '127.0.0.1', fport: 8080 },
  ];

  it('are as wide as iproute2 6.1 makes them of the same sockets, with a header and without', () => {
    expect(table(rows, { noNetid: true })).toBe(
      [
        'State  Recv-Q Send-Q Local Address:Port  Peer Address:Port Process\n',
        'LISTEN 0      5          127.0.0.1:8080       0.0.0.0:*           \n',
        'ESTAB  5000   0          127.0.0.1:8080     127.0.0.1:46390       \n',
        'ESTAB  1234   0          127.0.0.1:46382    127.0.0.1:8080        \n',
      ].join(''),
    );
    expect(table(rows, { noNetid: true, noHeader: true })).toBe(
      [
        'LISTEN 0      5      127.0.0.1:8080    0.0.0.0:*    \n',
        'ESTAB  5000   0      127.0.0.1:8080  127.0.0.1:46390\n',
        'ESTAB  1234   0      127.0.0.1:46382 127.0.0.1:8080 \n',
      ].join(''),
    );
    expect(table(rows.slice(2), { noNetid: true, noHeader: true, noState: true })).toBe(
      '1234   0      127.0.0.1:46382 127.0.0.1:8080\n',
    );
    expect(table(rows, {}).split('\n')[0]).toBe(
      'Netid State  Recv-Q Send-Q Local Address:Port  Peer Address:Port Process',
    );
  });

  it('are laid out in pages, so that memory does not grow with the number of connections', () => {
    const t = new SsTable({ info: true, memory: true, oneline: true, noHeader: true });
    let pages = 0;
    let lines = 0;
    for (let i = 0; i < 30_000; i++) {
      const text = t.add(conn(80, 1024 + i, BBR));
      if (text === '') continue;
      pages++;
      lines += text.split('\n').length - 1;
      expect(text.length).toBeLessThan(8 * 1024 * 1024);
    }
    lines += t.end().split('\n').length - 1;
    expect(pages).toBeGreaterThan(1);
    expect(lines).toBe(30_000);
  });
});

describe('ss -s', () => {
  it('counts as iproute2 does: closed are those in TIME-WAIT and without connection', () => {
    const s = new SsSummary();
    for (const r of [conn(1, 2), conn(1, 3, { orphan: true, state: 'FIN-WAIT-2' }), conn(1, 4, { state: 'TIME-WAIT' })])
      s.add(r);
    expect(s.text()).toBe(
      'Total: 2\nTCP:   3 (estab 1, closed 1, orphaned 1, timewait 1)\n\nTransport Total     IP        IPv6\n' +
        'RAW\t  0         0         0        \nUDP\t  0         0         0        \nTCP\t  2         2         0        \n' +
        'INET\t  2         2         0        \nFRAG\t  0         0         0        \n\n',
    );
  });
});
