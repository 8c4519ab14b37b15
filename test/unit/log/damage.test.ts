import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { LogFormat, LogItem } from '../../../src/log/model.ts';
import fc from '../../lab/property.ts';
import { MAN_DATA_LINE } from '../siftr/records.ts';
import { disableLine, MAN_ENABLE, read } from './reading.ts';

const fixture = (name: string): Buffer => readFileSync(join(import.meta.dirname, '../../fixtures/log', name));
const TEXTS: readonly (readonly [LogFormat, Buffer])[] = [
  ['siftr', Buffer.from(MAN_ENABLE + MAN_DATA_LINE.repeat(5) + disableLine(5, 0, 0, 0, 'a;1-b;2,'))],
  ['tcp_probe', fixture('tcp-probe.trace')],
  ['ss', fixture('ss-polls.txt')],
];

/** Whether every number of an item is one that it can have: whole and below 2^32, or a time, or none. */
function sane(item: LogItem): boolean {
  if (item.type !== 'sample') return Number.isInteger(item.line);
  return Object.entries(item).every(([key, value]) => {
    if (typeof value !== 'number' || (key === 'ssthresh' && value === Infinity)) return true;
    if (key === 'timeUs' || key === 'srtt' || key === 'rto') return Number.isFinite(value) && value >= 0;
    return Number.isInteger(value) && value >= 0 && value <= 0xffffffff;
  });
}

describe.each(TEXTS)('a damaged log of %s', (format, text) => {
  const cut = fc.record({ at: fc.nat(text.length - 1), length: fc.nat(40), put: fc.uint8Array({ maxLength: 40 }) });

  test('gives sane values and broken lines in their order, and never throws', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(cut, { minLength: 1, maxLength: 5 }), async (cuts) => {
        let bytes = text;
        for (const { at, length, put } of cuts) {
          bytes = Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + length)]);
        }
        const items = await read(bytes, { format, mss: 1448 });
        expect(items.filter((item) => !sane(item))).toEqual([]);
        const lines = items.map((item) => item.line);
        expect(lines).toEqual(lines.toSorted((a, b) => a - b));
      }),
      { numRuns: 300 },
    );
  });
});
