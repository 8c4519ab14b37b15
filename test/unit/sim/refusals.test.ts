import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { refusals } from '../../../tools/refusals.ts';

const root = join(import.meta.dirname, '../../..');
const page = readFileSync(join(root, 'docs/troubleshooting.md'), 'utf8').replace(/\s+/g, ' ');
const errors = new Set(['SimError', 'UnitError', 'PipeConfigError']);

test.each(globSync('src/{impair,sim}/*.ts', { cwd: root }).sort())(
  'docs/troubleshooting.md has every refusal of %s',
  (file) => {
    const missing = refusals(readFileSync(join(root, file), 'utf8'), errors).filter((text) =>
      // Short pieces between filled-in parts say nothing by themselves.
      text.split('…').some((piece) => piece.trim().length >= 8 && !page.includes(piece.trim())),
    );
    expect(missing).toEqual([]);
  },
);
