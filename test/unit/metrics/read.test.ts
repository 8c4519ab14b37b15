import { expect, test } from 'vitest';
import { COUNTER_SLOTS, groups, ips, tcps } from '../../../src/metrics/layout.ts';
import { bsdValue, combineCounters, counterValue, declOf } from '../../../src/metrics/read.ts';

const ip = groups.find((g) => g.name === 'ip')!;
const tcp = groups.find((g) => g.name === 'tcp')!;

test('counters of several writers are added up, and a longest bucket is the longest of all', () => {
  const a = new Float64Array(COUNTER_SLOTS);
  const b = new Float64Array(COUNTER_SLOTS);
  a[tcps.tcps_sndtotal] = 3;
  b[tcps.tcps_sndtotal] = 4;
  a[tcps.tcps_sc_bucket_maxlen] = 5;
  b[tcps.tcps_sc_bucket_maxlen] = 2;
  const sum = combineCounters([a, b]);
  expect(sum[tcps.tcps_sndtotal]).toBe(7);
  expect(sum[tcps.tcps_sc_bucket_maxlen]).toBe(5);
  expect(combineCounters([])[tcps.tcps_sc_bucket_maxlen]).toBe(0);
});

test('a BSD counter that merges reasons is the sum of the counters of those reasons', () => {
  const values = new Float64Array(COUNTER_SLOTS);
  values[ips.ips_notours] = 2;
  values[ips.ips_notours_bmcast] = 3;
  expect(counterValue(declOf(ip, 'ips_cantforward'), values)).toBe(5);
});

test('a dead counter is 0', () => {
  expect(counterValue(declOf(ip, 'ips_nogif'), new Float64Array(COUNTER_SLOTS).fill(9))).toBe(0);
});

test('32-bit tcp fields wrap at 2^32 in netstat, 64-bit ones do not (spec/counters.md 5)', () => {
  const values = new Float64Array(COUNTER_SLOTS).fill(2 ** 32 + 5);
  expect(bsdValue(declOf(tcp, 'tcps_sndtotal'), values)).toBe(5);
  expect(bsdValue(declOf(tcp, 'tcps_sndbyte'), values)).toBe(2 ** 32 + 5);
  expect(bsdValue(declOf(tcp, 'tcps_sack_rexmits'), values)).toBe(2 ** 32 + 5);
  expect(bsdValue(declOf(ip, 'ips_total'), values)).toBe(2 ** 32 + 5);
  expect(counterValue(declOf(tcp, 'tcps_sndtotal'), values)).toBe(2 ** 32 + 5);
});
