import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { complianceFaults, complianceRows, namesTest } from '../../../tools/compliance.ts';
import { mutants, otherMutants } from '../../mutants/mutants.ts';

const root = join(import.meta.dirname, '../../..');
const read = (file: string): string | null => {
  const path = join(root, 'test', file);
  return existsSync(path) ? readFileSync(path, 'utf8') : null;
};
const document = readFileSync(join(root, 'docs/COMPLIANCE.md'), 'utf8');

describe('docs/COMPLIANCE.md', () => {
  test('names only tests that are there, and one for each line that says yes', () => {
    expect(complianceRows(document).length).toBeGreaterThan(200);
    expect(complianceFaults(document, read)).toEqual([]);
  });

  test('a test that is not there, a line without one, and an unknown state are found', () => {
    const table = [
      '| 1 §1 | a | yes | unit/tools/compliance.test.ts › no such |',
      '| 1 §2 | b | yes | |',
      '| 1 §3 | c | perhaps | |',
      '| 1 §4 | d | no: not yet | |',
      '| 1 §5 | e | yes | unit/none.test.ts › x |',
      '| 1 §6 | f | yes |',
    ].join('\n');
    expect(complianceFaults(table, (f) => (f.includes('none') ? null : "it('other')"))).toEqual([
      "docs/COMPLIANCE.md:1: 1 §1: test/unit/tools/compliance.test.ts has no test 'no such'",
      'docs/COMPLIANCE.md:2: 1 §2: yes, and no test',
      "docs/COMPLIANCE.md:3: 1 §3: state 'perhaps'",
      'docs/COMPLIANCE.md:5: 1 §5: no file test/unit/none.test.ts',
      "docs/COMPLIANCE.md:6: 1 §6: state 'broken'",
    ]);
  });
});

describe('test/mutants', () => {
  test('each changes a snippet that occurs once in its file', () => {
    const wrong = [...mutants, ...otherMutants].filter(
      (m) => readFileSync(join(root, m.file), 'utf8').split(m.find).length !== 2,
    );
    expect(wrong.map((m) => `${m.file}: ${m.find}`)).toEqual([]);
  });

  test('each names tests that are there, and that a line of docs/COMPLIANCE.md names where it is of an RFC', () => {
    const shown = new Set(complianceRows(document).flatMap((r) => r.tests.map((t) => `${t.file} › ${t.name}`)));
    const wrong = mutants.flatMap((m) => m.kills.filter((k) => !shown.has(k)));
    expect(wrong).toEqual([]);
    for (const m of [...mutants, ...otherMutants]) {
      for (const k of m.kills) {
        const [file, name] = k.split(' › ') as [string, string];
        expect(namesTest(read(file) ?? '', name), k).toBe(true);
      }
    }
  });

  test('each line that says yes names a test that a mutant makes fail', () => {
    const killed = new Set(mutants.flatMap((m) => m.kills));
    const rows = complianceRows(document).filter((r) => r.state === 'yes');
    const bare = rows.filter((r) => !r.tests.some((t) => killed.has(`${t.file} › ${t.name}`)));
    expect(bare.map((r) => `${r.clause}: ${r.requirement}`)).toEqual([]);
  });
});
