import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ssDoc } from '../../../tools/gen-ss-doc.ts';

test('the table in docs/ss.md is what the declaration of the fields says (else run node tools/gen-ss-doc.ts)', () => {
  const page = readFileSync(new URL('../../../docs/ss.md', import.meta.url), 'utf8');
  expect(page).toBe(ssDoc(page));
});
