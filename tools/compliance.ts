/** Reads docs/COMPLIANCE.md and finds what is wrong with it: lines that claim without a test, and tests that are not there. */

export interface ComplianceRow {
  /** Line of the document, from 1. */
  readonly line: number;
  readonly clause: string;
  readonly requirement: string;
  /** `yes`, `no`, `no: why`, `differs: how`. */
  readonly state: string;
  readonly tests: readonly { readonly file: string; readonly name: string }[];
}

const SEPARATOR = ' › ';

/** The rows of all tables. Lines of a table with another number of cells than four are reported as rows of the state `broken`. */
export function complianceRows(markdown: string): ComplianceRow[] {
  const rows: ComplianceRow[] = [];
  markdown.split('\n').forEach((text, i) => {
    if (!text.startsWith('|') || text.startsWith('| Clause |') || text.startsWith('| --- |')) return;
    const cells = text
      .slice(1, text.lastIndexOf('|'))
      .split('|')
      .map((c) => c.trim());
    const [clause = '', requirement = '', state = '', named = ''] = cells;
    const tests = named
      .split('<br>')
      .filter((t) => t !== '')
      .map((t) => {
        const at = t.indexOf(SEPARATOR);
        return at < 0 ? { file: t, name: '' } : { file: t.slice(0, at), name: t.slice(at + SEPARATOR.length) };
      });
    rows.push({ line: i + 1, clause, requirement, state: cells.length === 4 ? state : 'broken', tests });
  });
  return rows;
}

/** True when `source` has a string literal of that text: the name of a test, or the template of several. */
export function namesTest(source: string, name: string): boolean {
  return ["'", '"', '`'].some((q) =>
    source.includes(`${q}${name.replaceAll('\\', '\\\\').replaceAll(q, `\\${q}`)}${q}`),
  );
}

/**
 * What is wrong with the document, a line each.
 * @param read gives the text of a file below test/, or null
 */
export function complianceFaults(markdown: string, read: (file: string) => string | null): string[] {
  const faults: string[] = [];
  for (const row of complianceRows(markdown)) {
    const at = `docs/COMPLIANCE.md:${row.line}: ${row.clause}`;
    if (!/^(yes|no(: .+)?|differs: .+)$/.test(row.state)) faults.push(`${at}: state '${row.state}'`);
    if (row.state === 'yes' && row.tests.length === 0) faults.push(`${at}: yes, and no test`);
    for (const { file, name } of row.tests) {
      const source = read(file);
      if (source === null) faults.push(`${at}: no file test/${file}`);
      else if (name === '' || !namesTest(source, name)) faults.push(`${at}: test/${file} has no test '${name}'`);
    }
  }
  return faults;
}
