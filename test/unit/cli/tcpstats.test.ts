import { describe, expect, test } from 'vitest';
import { tcpstatsCommand } from '../../../src/cli/tcpstats.ts';

describe('xsiftr tcpstats', () => {
  test.each([
    ['-s 999', 'tcpstats: -s 999: allowed is a whole number from 1000 to 3600000000'],
    ['-s 3600000001', 'tcpstats: -s 3600000001: allowed is a whole number from 1000 to 3600000000'],
    ['-s 5e4', 'tcpstats: -s 5e4: allowed is a whole number from 1000 to 3600000000'],
    ['-n 0', 'tcpstats: -n 0: allowed is a whole number from 1 to 4294967296'],
    ['-t soon', 'tcpstats: -t soon: allowed is a time up to 24d, as 10s or 1m'],
    ['-t 25d', 'tcpstats: -t 25d: allowed is a time up to 24d, as 10s or 1m'],
    ['--device d -n 3', 'tcpstats: --device d and -n 3 do not go together; --device takes -s and -t'],
    ['state bogus', /^filter: state bogus: allowed are established/],
  ])('refuses %s in one line, before it asks anybody', async (words, line) => {
    await expect(tcpstatsCommand().parseAsync(words.split(' '), { from: 'user' })).rejects.toThrow(line);
  });
});
