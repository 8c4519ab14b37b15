import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { Output } from '../../../src/log/output.ts';

const dir = mkdtempSync(join(tmpdir(), 'xsiftr-output-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('a file is replaced as a whole, and nothing else stays behind', () => {
  const folder = join(dir, 'a');
  mkdirSync(folder);
  const file = join(folder, 'x.svg');
  writeFileSync(file, 'old');
  const out = new Output('-o', file);
  expect(readFileSync(file, 'utf8')).toBe('old');
  out.write('new');
  expect(readFileSync(file, 'utf8')).toBe('new');
  expect(readdirSync(folder)).toEqual(['x.svg']);
});

test('a symbolic link stays one', () => {
  const real = join(dir, 'real.svg');
  const link = join(dir, 'link.svg');
  writeFileSync(real, 'old');
  symlinkSync(real, link);
  new Output('-o', link).write('new');
  expect(readFileSync(real, 'utf8')).toBe('new');
});

test('a folder and a place that is not there are refused before anything is made', () => {
  expect(() => new Output('-o', dir)).toThrow(`-o ${dir}: is a folder; name a file`);
  const nowhere = join(dir, 'none/x.svg');
  expect(() => new Output('-o', nowhere)).toThrow(`-o ${nowhere}: cannot be written (ENOENT)`);
  expect(existsSync(join(dir, 'none'))).toBe(false);
});

test('a device is written to, not replaced', () => {
  new Output('-o', '/dev/null').write('x');
  expect(existsSync('/dev/null')).toBe(true);
  expect(() => new Output('-o', '/dev/full').write('x')).toThrow('-o /dev/full: cannot be written (ENOSPC)');
});
