import { expect, test } from 'vitest';
import { csvValue } from '../../src/csv.ts';

test.each([
  ['aaa', 'aaa'],
  ['b\r\nbb', '"b\r\nbb"'],
  ['b"bb', '"b""bb"'],
  ['a,b', '"a,b"'],
  ['', ''],
])('%j is %j among commas (RFC 4180 section 2 rules 5 to 7)', (value, text) => {
  expect(csvValue(value)).toBe(text);
});
