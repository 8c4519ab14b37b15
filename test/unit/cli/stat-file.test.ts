import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { StatFile } from '../../../src/cli/stat-file.ts';

const HEAD = 'time_us,cwnd_bytes\n';

describe('the file of tcpstats -o', () => {
  let dir: string;
  let path: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'xsiftr-stat-'));
    path = join(dir, 'flow.csv');
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  function add(text: string, head = HEAD, json = false): void {
    const file = new StatFile(path, head, json);
    file.write(text);
    file.close();
  }

  test('is made with mode 0644, has one header line, and is appended to (spec/siftr.md section 15)', () => {
    add('1,2\n');
    add('3,4\n');
    expect(readFileSync(path, 'utf8')).toBe(`${HEAD}1,2\n3,4\n`);
    expect(statSync(path).mode & 0o777).toBe(0o644 & ~process.umask());
  });

  test('has no header line for JSON', () => {
    add('{"a":1}\n', '', true);
    add('{"a":2}\n', '', true);
    expect(readFileSync(path, 'utf8')).toBe('{"a":1}\n{"a":2}\n');
  });

  test('goes on with a line of its own behind a part of one', () => {
    writeFileSync(path, `${HEAD}1,`);
    add('3,4\n');
    expect(readFileSync(path, 'utf8')).toBe(`${HEAD}1,\n3,4\n`);
  });

  test('that begins with other columns, or with none, is refused and left as it was', () => {
    for (const there of ['time_us,rtt_us\n1,2\n', '{"a":1}\n', 'enable_time_secs=1\n']) {
      writeFileSync(path, there);
      expect(() => add('1,2\n')).toThrow(/flow\.csv: does not begin with these columns; give another file, /);
      expect(readFileSync(path, 'utf8')).toBe(there);
    }
    writeFileSync(path, HEAD);
    expect(() => add('{}\n', '', true)).toThrow(/does not begin with these columns/);
  });

  test('is appended to without a header line (-H), whatever its columns are, but not where it has objects', () => {
    add('1,2\n', '');
    add('3,4\n', '');
    expect(readFileSync(path, 'utf8')).toBe('1,2\n3,4\n');
    writeFileSync(path, '{"a":1}\n');
    expect(() => add('1,2\n', '')).toThrow(/does not begin with these columns/);
  });

  test('may not be a FIFO or a folder, nor lie where there is none', () => {
    spawnSync('mkfifo', [join(dir, 'fifo')]);
    expect(() => new StatFile(join(dir, 'fifo'), HEAD, false)).toThrow(
      /fifo: is a FIFO; --device serves one; allowed is a file/,
    );
    expect(() => new StatFile(dir, HEAD, false)).toThrow(/: is a folder; allowed is a file to append to, or -/);
    expect(() => new StatFile(join(dir, 'no', 'where'), HEAD, false)).toThrow(/^tcpstats: -o \S+where: ENOENT/);
    expect(existsSync(join(dir, 'no'))).toBe(false);
  });

  test('on a full device says so in one line', () => {
    expect(() => new StatFile('/dev/full', HEAD, false)).toThrow(/^tcpstats: -o \/dev\/full: ENOSPC/);
  });
});
