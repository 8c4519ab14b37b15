import { readFileSync, writeFileSync } from 'node:fs';
import { CONN_FIELDS } from '../src/stack/tcp/conn-fields.ts';

/** Writes the table of fields in docs/ss.md from their declaration: node tools/gen-ss-doc.ts. A test fails when it is not what this gives. */

const FILE = new URL('../docs/ss.md', import.meta.url);
const BEGIN = '<!-- fields: tools/gen-ss-doc.ts -->\n';
const END = '<!-- end of fields -->\n';

const code = (text: string): string => (text === '' ? '' : `\`${text.replace(/\|/g, '\\|')}\``);

/** The page `text` with the table as the declaration has it. */
export function ssDoc(text: string): string {
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`docs/ss.md lacks ${BEGIN.trim()} and ${END.trim()}`);
  const rows = CONN_FIELDS.map((f) => `| ${code(f.name)} | ${f.unit || f.type} | ${code(f.ss)} | ${f.help} |\n`);
  const table = ['| name | unit or type | in `ss` | what it is |\n', '| -- | -- | -- | -- |\n', ...rows].join('');
  return text.slice(0, begin + BEGIN.length) + table + text.slice(end);
}

if (import.meta.main) writeFileSync(FILE, ssDoc(readFileSync(FILE, 'utf8')));
