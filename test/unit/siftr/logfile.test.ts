import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { atLineStart, closeLog, defaultLimit, openLog, writeText } from '../../../src/siftr/logfile.ts';

const MODULE = pathToFileURL(join(import.meta.dirname, '../../../src/siftr/logfile.ts')).href;

describe('standard output as a log', () => {
  test.each([
    [
      'pipe',
      (node: string, script: string) => ['sh', '-c', '"$0" --input-type=module -e "$1" | sleep 60', node, script],
    ],
    ['socket', (node: string, script: string) => [node, '--input-type=module', '-e', script]],
  ])(
    'a reader of a %s who does not read makes the write fail after a while, and does not block for ever',
    async (_kind, words) => {
      const script = `
      import { closeLog, openLog, writeText } from '${MODULE}';
      const log = openLog('-', () => false);
      try { writeText(log, 'x'.repeat(1 << 20), 50); } catch (err) { process.stderr.write(err.code); }
      closeLog(log);`;
      const [command, ...args] = words(process.execPath, script);
      const child = spawn(command!, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
      const [said] = await once(child.stderr, 'data', { signal: AbortSignal.timeout(10_000) });
      // The reader is there until it is ended, with its group.
      process.kill(-child.pid!);
      expect(String(said)).toBe('EAGAIN');
    },
  );

  test('a file that the shell opened gets the lines at its end', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'xsiftr-siftr-'));
    const file = join(dir, 'out');
    const script = `
      import { openLog, writeText } from '${MODULE}';
      process.stdout.write('before\\n');
      const log = openLog('-', () => false);
      writeText(log, 'line\\n');`;
    const child = spawn('sh', ['-c', '"$0" --input-type=module -e "$1" > "$2"', process.execPath, script, file]);
    const [code] = await once(child, 'close');
    expect(code).toBe(0);
    expect(readFileSync(file, 'utf8')).toBe('before\nline\n');
    rmSync(dir, { recursive: true });
  });
});

describe('the end of a log', () => {
  test('is told from the middle of a line, so that what is appended begins one', () => {
    const dir = mkdtempSync(join(tmpdir(), 'xsiftr-siftr-'));
    const of = (text: string): boolean => {
      const path = join(dir, 'log');
      writeFileSync(path, text);
      const log = openLog(path, () => true);
      const at = atLineStart(log);
      closeLog(log);
      return at;
    };
    expect(of('')).toBe(true);
    expect(of('a whole line\n')).toBe(true);
    expect(of('a whole line\no,1791')).toBe(false);
    rmSync(dir, { recursive: true });
  });
});

describe('the default limit', () => {
  test('of a plain file is at most 4 GiB, of anything else none', () => {
    const dir = mkdtempSync(join(tmpdir(), 'xsiftr-siftr-'));
    const plain = openLog(join(dir, 'log'), () => true);
    const limit = defaultLimit(plain);
    expect(limit).toBeGreaterThan(0);
    expect(limit).toBeLessThanOrEqual(4 * 2 ** 30);
    closeLog(plain);
    const nothing = openLog('/dev/null', () => true);
    writeText(nothing, 'x');
    expect(defaultLimit(nothing)).toBe(Infinity);
    closeLog(nothing);
    rmSync(dir, { recursive: true });
  });
});
