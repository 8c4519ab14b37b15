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

/** How sysctl(8) is to print: -d, -n, -N, -e. */
export interface SysctlForm {
  readonly describe?: boolean | undefined;
  readonly values?: boolean | undefined;
  readonly names?: boolean | undefined;
  readonly equals?: boolean | undefined;
}

/** The name with what stands between it and a value; nothing with -n. */
function lead(name: string, o: SysctlForm): string {
  return o.values ? '' : `${name}${o.equals ? '=' : ': '}`;
}

/** One line of `sysctl NAME`. */
export function renderSysctl(row: SysctlRow, o: SysctlForm = {}): string {
  if (o.names) return `${row.name}\n`;
  return `${lead(row.name, o)}${o.describe ? row.description : row.value}\n`;
}

/**
 * A word of the command line as sysctl(8) takes it: what stands before the first `=` or `:` is a name; blanks around that, and a pair of
 * quotation marks around the value, are no part of either. `value` is undefined where there is none.
 */
export function assignmentOf(word: string): { name: string; value?: string } {
  const at = word.search(/[=:]/);
  if (at < 0) return { name: word.trimEnd() };
  const value = word.slice(at + 1).trimStart();
  const quoted = /^(["'])(.*)\1$/s.exec(value);
  return { name: word.slice(0, at).trimEnd(), value: quoted?.[2] ?? value };
}

/**
 * Output of `sysctl NAME=VALUE` (spec/siftr.md 10): standard output, and standard error when it was refused. As there, the old value stands
 * on standard output where the value was one, but not one for this knob.
 */
export function renderSysctlChange(
  change: SysctlChange,
  assignment: string,
  o: SysctlForm = {},
): { stdout: string; stderr: string } {
  const { name, old, error } = change;
  if (error === undefined)
    return { stdout: o.names ? `${name}\n` : `${lead(name, o)}${old} -> ${change.new}\n`, stderr: '' };
  if (/^(unknown )?oid /.test(error)) return { stdout: '', stderr: `sysctl: ${error}\n` };
  const parsed = !/^(invalid|empty) /.test(error);
  return {
    stdout: parsed ? (o.names ? `${name}\n` : `${lead(name, o)}${old}\n`) : '',
    stderr: `sysctl: ${assignment}: ${error}\n`,
  };
}
