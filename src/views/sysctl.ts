import { getTunable, type SysctlDecl, selectSysctls, type Tunables } from '../stack/sysctl.ts';

/** A row of sysctl(8). */
export interface SysctlRow {
  readonly name: string;
  readonly value: string;
  readonly description: string;
  /** Not part of a list of all, or of a node. */
  readonly skip?: boolean;
}

/** What an assignment did: the value before, then the new one or why it was refused. */
export interface SysctlChange {
  readonly name: string;
  readonly old: string;
  readonly new?: string;
  readonly error?: string;
}

/** The text of a knob's value now. `texts` has the values of the knobs with text, by name. */
export function sysctlValue(decl: SysctlDecl, tune: Tunables, texts: ReadonlyMap<string, string>): string {
  return decl.type === 'string' ? (texts.get(decl.name) ?? decl.default) : String(getTunable(tune, decl));
}

/**
 * Rows of the knobs that `name` stands for (itself or a node), all of them without a name, in declared order.
 * @throws SysctlError ENOENT
 */
export function sysctlRows(tune: Tunables, texts: ReadonlyMap<string, string>, name = ''): SysctlRow[] {
  return selectSysctls(name).map((decl) => ({
    name: decl.name,
    value: sysctlValue(decl, tune, texts),
    description: decl.descr,
    ...(decl.type === 'string' && decl.skip === true ? { skip: true } : {}),
  }));
}

/** One line of `sysctl NAME`, `sysctl -d NAME`, or without the name with `-n`. */
export function renderSysctl(row: SysctlRow, describe: boolean, valuesOnly: boolean): string {
  const shown = describe ? row.description : row.value;
  return valuesOnly ? `${shown}\n` : `${row.name}: ${shown}\n`;
}

/** Output of `sysctl NAME=VALUE` (spec/siftr.md 10): standard output, and standard error when it was refused. */
export function renderSysctlChange(change: SysctlChange, assignment: string): { stdout: string; stderr: string } {
  if (change.error === undefined) return { stdout: `${change.name}: ${change.old} -> ${change.new}\n`, stderr: '' };
  // A name that does not exist has no value that stayed.
  if (change.error.startsWith('unknown oid')) return { stdout: '', stderr: `sysctl: ${change.error}\n` };
  return { stdout: `${change.name}: ${change.old}\n`, stderr: `sysctl: ${assignment}: ${change.error}\n` };
}
