import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { groups } from '../../../src/metrics/layout.ts';
import { SYSCTLS, type SysctlDecl } from '../../../src/stack/sysctl.ts';

const src = new URL('../../../src/', import.meta.url);
const sources = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts') && !path.startsWith('metrics/decl/') && !path.startsWith('stack/sysctl'))
  .map((path) => readFileSync(new URL(path, src), 'utf8'))
  .join('\n');
const words = new Set(sources.match(/\w+/g));

test('every counter that this project adds is counted somewhere', () => {
  const ext = groups.flatMap((g) => g.decls).filter((d) => d.ext);
  expect(ext.map((d) => d.name).filter((name) => !words.has(name))).toEqual([]);
});

test('every knob is read somewhere', () => {
  // A knob with a text has no field: what reads it names it.
  const read = (d: SysctlDecl) => (d.type === 'string' ? sources.includes(`'${d.name}'`) : words.has(d.field));
  const unread = SYSCTLS.filter((d) => !read(d) && !d.name.startsWith('net.inet.siftr.'));
  expect(unread.map((d) => d.name)).toEqual([]);
});
