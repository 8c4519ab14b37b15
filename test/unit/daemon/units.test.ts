import { describe, expect, it } from 'vitest';
import { formatDuration, formatSi, formatSize, nearest, parseDuration, parseSize } from '../../../src/daemon/units.ts';

describe('units', () => {
  it('reads sizes in powers of 1024 with every spelling of the unit', () => {
    expect(['4096', '64K', '64kb', '1.5GiB', '2 MB', '0'].map(parseSize)).toEqual([
      4096, 65536, 65536, 1610612736, 2097152, 0,
    ]);
  });
  it('refuses what is no size', () => {
    expect(['', 'K', '-1', '1X', '1e3', '1,5G', '99999999T'].map(parseSize)).toEqual(Array(7).fill(null));
  });
  it('reads a bare number as seconds and adds up the parts of a duration', () => {
    expect(['10', '0.5', '500ms', '10s', '1.5m', '1h30m', '2d', '1m30s'].map(parseDuration)).toEqual([
      10_000, 500, 500, 10_000, 90_000, 5_400_000, 172_800_000, 90_000,
    ]);
  });
  it('refuses what is no duration', () => {
    expect(['', 's', '-1s', '1y', '1h x', '1 h'].map(parseDuration)).toEqual(Array(6).fill(null));
  });
  it('writes sizes, rates and times for people', () => {
    expect([formatSize(512), formatSize(64 << 20), formatSize(1.5 * 2 ** 30)]).toEqual(['512 B', '64 MiB', '1.5 GiB']);
    expect([formatSi(950), formatSi(12_300), formatSi(8_770_000_000)]).toEqual(['950', '12.3k', '8.77G']);
    expect([formatDuration(400), formatDuration(200_000), formatDuration(7_500_000)]).toEqual([
      '0.4 s',
      '3 min 20 s',
      '2 h 5 min',
    ]);
  });
  it('finds the word that was probably meant', () => {
    expect(nearest('qeues', ['queues', 'iface'])).toBe('queues');
    expect(nearest('zzz', ['queues', 'iface'])).toBeNull();
  });
});
