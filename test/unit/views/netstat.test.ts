import { expect, test } from 'vitest';
import { COUNTER_SLOTS, icps, ips, stks, tcps } from '../../../src/metrics/layout.ts';
import {
  type Connection,
  renderConnections,
  renderStatistics,
  statisticsSections,
} from '../../../src/views/netstat.ts';

const values = (): Float64Array => new Float64Array(COUNTER_SLOTS);

// spec/counters.md 5.2: lines, histogram places and type names.
test('the icmp section is printed byte for byte, histograms of the types that occurred in their places', () => {
  const v = values();
  v[icps.icps_error] = 1;
  v[icps.icps_toofreq] = 2;
  v[icps.icps_outhist] = 7;
  v[icps.icps_outhist + 3] = 1;
  v[icps.icps_bmcastecho] = 1;
  v[icps.icps_inhist + 8] = 7;
  v[icps.icps_inhist + 19] = 4;
  v[icps.icps_inhist + 40] = 5;
  v[icps.icps_reflect] = 7;
  expect(renderStatistics(v, false, 'icmp')).toBe(`icmp:
	1 call to icmp_error
	0 errors not generated because old message was icmp
	2 errors not generated because of rate limitation
	Output packet histogram:
		echo reply: 7
		destination unreachable: 1
	0 messages with bad code fields
	0 messages < minimum length
	0 bad checksums
	0 messages with bad length
	1 echo request to broadcast/multicast rejected
	Input packet histogram:
		echo: 7
		#19: 4
		Photuris: 5
	7 message responses generated
`);
});

test('with -ss only lines with a number that is not zero are printed, and the section header always', () => {
  const v = values();
  expect(renderStatistics(v, true, 'tcp')).toBe('tcp:\n');
  v[tcps.tcps_sndbyte] = 5;
  v[tcps.tcps_delack] = 1;
  v[tcps.tcps_pcbhashmiss] = 1;
  v[tcps.tcps_cwr_timeout] = 2;
  v[tcps.tcps_sc_entry_limit] = 15360;
  v[tcps.tcps_sc_bucket_limit] = 30;
  expect(renderStatistics(v, true, 'tcp')).toBe(`tcp:
		0 data packets (5 bytes)
		0 ack-only packets (1 delayed)
	1 PCB cache miss
			cwr by timeout: 2
`);
  v[tcps.tcps_sc_entry_count] = 1;
  expect(renderStatistics(v, true, 'tcp')).toContain('	1 entry in current SYN cache, limit is 15360\n');
});

test('with -s a dead counter is printed as 0, and 32-bit tcp numbers wrap', () => {
  const v = values().fill(2 ** 32 + 1);
  expect(renderStatistics(v, false, 'ip')).toContain("\t0 tunneling packets that can't find gif\n");
  const tcp = renderStatistics(v, false, 'tcp');
  expect(tcp).toContain('\t1 packet sent\n\t\t1 data packet (4294967297 bytes)\n');
  expect(tcp).toContain('\t0 connections drained\n');
  expect(tcp).toContain('\t\t4294967297 fast retransmitted packets\n');
});

test('a line that BSD merges shows the sum of our reasons, each of which has a line in a section of its own', () => {
  const v = values();
  v[ips.ips_notours] = 2;
  v[ips.ips_notours_bmcast] = 1;
  expect(renderStatistics(v, true, 'ip')).toBe('ip:\n\t3 packets not forwardable\n');
  expect(renderStatistics(v, true, 'xsiftr-ip')).toBe(
    'xsiftr-ip:\n\t2 packets for another host while forwarding is off\n\t1 packet for another host in a link broadcast or multicast\n',
  );
});

test('the BSD sections come first in the order of BSD, ours after them, with no blank line', () => {
  expect(statisticsSections.slice(0, 4)).toEqual(['ip', 'icmp', 'tcp', 'arp']);
  expect(renderStatistics(values(), true)).toBe(statisticsSections.map((s) => `${s}:\n`).join(''));
  expect(new Set(statisticsSections).size).toBe(statisticsSections.length);
});

test('every counter shows up somewhere in netstat -s', () => {
  const v = values().map((_, i) => 1_000_000 + i);
  const text = renderStatistics(v, false);
  for (let i = 0; i < COUNTER_SLOTS; i++) expect(text, `slot ${i}`).toMatch(new RegExp(`\\b${1_000_000 + i}\\b`));
});

test('lines of hand-over and Ethernet stand in different sections', () => {
  const v = values();
  v[stks.stks_ether_unktype] = 1;
  v[stks.stks_handover_in] = 2;
  expect(renderStatistics(v, true, 'ether')).toBe('ether:\n\t1 frame of unknown type\n');
  expect(renderStatistics(v, true, 'shard')).toBe('shard:\n\t2 frames taken from other shards\n');
});

test('a protocol without a section is refused in one line that names those there are', () => {
  expect(() => renderStatistics(values(), false, 'udp')).toThrow(
    /^udp: unknown or uninstrumented protocol; known are ip, icmp, tcp, arp, /,
  );
});

const connection = (c: Partial<Connection>): Connection => ({
  laddr: '192.0.2.3',
  lport: 80,
  faddr: '192.0.2.4',
  fport: 12345,
  recvq: 0,
  sendq: 0,
  state: 'ESTABLISHED',
  ...c,
});

// The first block of the sample of spec/counters.md 7.1.
test('connections are printed as netstat -an prints them, byte for byte', () => {
  const listen = connection({ laddr: '*', lport: 22, faddr: '*', fport: 0, state: 'LISTEN' });
  const established = connection({ lport: 44648, sendq: 131732 });
  expect(renderConnections([listen, established], true)).toBe(`Active Internet connections (including servers)
Proto   Recv-Q Send-Q  Local Address          Foreign Address        TCP-State
tcp          0 131732  192.0.2.3.44648        192.0.2.4.12345        ESTABLISHED
tcp          0      0  *.22                   *.*                    LISTEN
`);
});

test('without -a listening and closed sockets are hidden and the title has no suffix', () => {
  const rows = [
    connection({ state: 'LISTEN', faddr: '', fport: 0, laddr: '' }),
    connection({ state: 'CLOSED' }),
    connection({ state: 'TIME_WAIT', recvq: 65160 }),
  ];
  expect(renderConnections(rows, false)).toBe(`Active Internet connections
Proto   Recv-Q Send-Q  Local Address          Foreign Address        TCP-State
tcp      65160      0  192.0.2.3.80           192.0.2.4.12345        TIME_WAIT
`);
});

test('no connection at all prints nothing, no header either', () => {
  expect(renderConnections([], true)).toBe('');
  expect(renderConnections([connection({ state: 'LISTEN' })], false)).toBe('');
});

test('connections are sorted by foreign port, the largest first', () => {
  const text = renderConnections(
    [1000, 60000, 2000].map((fport) => connection({ fport })),
    false,
    'tcp',
  );
  expect([...text.matchAll(/192\.0\.2\.4\.(\d+)/g)].map((m) => m[1])).toEqual(['60000', '2000', '1000']);
});

test('an address of full length is cut at 22 columns', () => {
  const text = renderConnections(
    [connection({ laddr: '203.0.113.200', lport: 65535, faddr: '198.51.100.100', fport: 65535 })],
    false,
  );
  expect(text.split('\n')[2]).toBe('tcp          0      0  203.0.113.200.65535    198.51.100.100.65535   ESTABLISHED');
});

test('a protocol other than tcp has no connections here', () => {
  expect(() => renderConnections([], true, 'udp')).toThrow('udp: unknown or uninstrumented protocol; known is tcp');
});
