import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The readers of SIFTR logs that share no code with what writes them: test/fixtures. */

const fixture = (name: string): string => join(import.meta.dirname, '../fixtures', name);

export interface Read<T> {
  readonly status: number | null;
  /** What it printed; an empty object when it printed nothing. */
  readonly out: T;
  readonly err: string;
}

function read<T>(words: readonly string[]): Read<T> {
  const r = spawnSync(words[0]!, words.slice(1), { encoding: 'utf8', maxBuffer: 1 << 26 });
  return { status: r.status, out: (r.stdout === '' ? {} : JSON.parse(r.stdout)) as T, err: r.stderr };
}

/** What parse_siftr.py says of a log: it demands all that any reader does. */
export interface Parsed {
  readonly counts: Readonly<Record<string, number>>;
  readonly data: number;
  readonly rows: { readonly i: number; readonly o: number };
  readonly flows: Readonly<Record<string, { readonly flow: string; readonly i: number; readonly o: number }>>;
  readonly listed: readonly string[];
}

/** @param suppressed lines that ppl left out */
export function parseSiftr(path: string, suppressed = 0): Read<Parsed> {
  return read(['python3', fixture('parse_siftr.py'), '--suppressed', String(suppressed), path]);
}

/** What table_reader.py says: rows of each flow, outbound alone. */
export interface Table {
  readonly rows: number;
  readonly out: number;
  readonly flows: Readonly<Record<string, { readonly rows: number; readonly cwnd: number }>>;
}

/** Debian's own interpreter: the one that has Debian's pandas. */
const PANDAS_PYTHON = '/usr/bin/python3';

/** Is what `readTable` needs there? */
export const havePandas = (): boolean => spawnSync(PANDAS_PYTHON, ['-c', 'import pandas']).status === 0;

export function readTable(path: string): Read<Table> {
  return read([PANDAS_PYTHON, fixture('table_reader.py'), path]);
}

/** What fixed_reader.c says: records of each flow, by `laddr,lport,faddr,fport`. */
export interface Fixed {
  readonly siftrver: string;
  readonly sysname: string;
  readonly total_tcp_pkts: number;
  readonly total_skipped_tcp_pkts: number;
  readonly flows: readonly { readonly flowid: number; readonly flow: string; readonly records: number }[];
}

/** fixed_reader.c, compiled. */
export class FixedReader {
  readonly #dir = mkdtempSync(join(tmpdir(), 'xsiftr-reader-'));

  constructor() {
    const r = spawnSync(
      'cc',
      ['-std=c17', '-Wall', '-Wextra', '-Werror', '-o', join(this.#dir, 'reader'), fixture('fixed_reader.c')],
      {
        encoding: 'utf8',
      },
    );
    if (r.status !== 0) throw new Error(`fixed_reader.c: ${r.stderr}`);
  }

  read(path: string): Read<Fixed> {
    return read([join(this.#dir, 'reader'), path]);
  }

  remove(): void {
    rmSync(this.#dir, { recursive: true });
  }
}
