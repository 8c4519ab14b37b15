import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { metricsDoc } from '../../../tools/gen-metrics-doc.ts';

test('docs/metrics.md is what the declarations say (else run node tools/gen-metrics-doc.ts)', () => {
  expect(readFileSync(new URL('../../../docs/metrics.md', import.meta.url), 'utf8')).toBe(metricsDoc());
});
