import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { refusals } from '../../../tools/refusals.ts';

const root = join(import.meta.dirname, '../../..');

describe('the lines that a source file refuses with', () => {
  test.each([
    ["throw new UserError('no such thing here');", ['no such thing here']],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the samples are source text
    ['throw new DriverError("EX", `--a ${x}: is ${y ? `up ${z}` : "down it is"} now`);', ['--a …: is … now']],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the samples are source text
    ['log.warn(`${n} lost things`); other("not a message");', ['… lost things']],
    ["whole(g, 1, 2, 'allowed is one of two');", ['allowed is one of two']],
    ["out.push({ reason: 'x', text: 'in the way' });", ['in the way']],
    ["throw new Error('an inner matter');", []],
  ])('%s', (source, expected) => {
    expect(refusals(source)).toEqual(expected);
  });
});

describe('docs/troubleshooting.md', () => {
  const page = readFileSync(join(root, 'docs/troubleshooting.md'), 'utf8').replace(/\s+/g, ' ');

  test.each(globSync('src/{cli,daemon,driver,driver/unix,dummynet,log,siftr}/*.ts', { cwd: root }).sort())(
    'has every refusal of %s',
    (file) => {
      const missing = refusals(readFileSync(join(root, file), 'utf8')).filter((text) =>
        // Short pieces between filled-in parts say nothing by themselves.
        text.split('…').some((piece) => piece.trim().length >= 12 && !page.includes(piece.trim())),
      );
      expect(missing).toEqual([]);
    },
  );
});
