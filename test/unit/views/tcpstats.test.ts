import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CONN_FIELDS } from '../../../src/stack/tcp/conn-fields.ts';
import { parseStatNames, STAT_COLUMNS, STAT_DEFAULT, statHeader, statLine } from '../../../src/views/tcpstats.ts';

describe('the lines of tcpstats', () => {
  test('have the named columns in their order, commas between, nothing where there is no value, 1 and 0 for yes and no', () => {
    const names = parseStatNames('time_us,laddr,lport,ssthresh_bytes,sack,ecn,cc');
    expect(statHeader(names)).toBe('time_us,laddr,lport,ssthresh_bytes,sack,ecn,cc\n');
    const r = { time_us: 1685191814185109, laddr: '192.0.2.1', lport: 80, sack: true, ecn: false, cc: 'cubic' };
    expect(statLine(names, r)).toBe('1685191814185109,192.0.2.1,80,,1,0,cubic\n');
  });

  test('quote a text with a comma or a quote (RFC 4180 section 2, rules 6 and 7)', () => {
    expect(statLine(['cc', 'lport'], { cc: 'my,"own"', lport: 1 })).toBe('"my,""own""",1\n');
  });

  test('name only columns that there are, each once', () => {
    expect(parseStatNames('default')).toEqual(STAT_DEFAULT);
    expect(parseStatNames('default,busy_ms')).toEqual([...STAT_DEFAULT, 'busy_ms']);
    expect(parseStatNames('all')).toEqual(STAT_COLUMNS.map((c) => c.name));
    for (const bad of ['cwnd', '', 'time_us,,cc', 'pid']) {
      expect(() => parseStatNames(bad)).toThrow(/^tcpstats: --fields .*: no column .*; allowed are names with commas/);
    }
    expect(() => parseStatNames('default,cc')).toThrow(/: cc stands there twice$/);
  });

  test('can have every field of a connection but those of who holds it, under its name and unit', () => {
    const names = STAT_COLUMNS.map((c) => c.name as string);
    const missing = CONN_FIELDS.filter((f) => !names.includes(f.name)).map((f) => f.name);
    expect(missing).toEqual(['fd', 'pid', 'command', 'uid', 'user']);
    expect(STAT_COLUMNS.find((c) => c.name === 'rto_us')?.unit).toBe('us');
  });

  test('have default columns that docs/tcpstats.md lists, in their order', () => {
    const page = readFileSync(join(import.meta.dirname, '../../../docs/tcpstats.md'), 'utf8');
    const table = page.slice(page.indexOf('## Columns'), page.indexOf('## Where'));
    const listed = [...table.matchAll(/^\| (.*?) \|/gm)].flatMap((m) =>
      [...m[1]!.matchAll(/`(\w+)`/g)].map((n) => n[1]!),
    );
    expect(listed).toEqual(STAT_DEFAULT);
  });
});
