import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../../..');
const git = (...words: string[]) => execFileSync('git', ['-C', root, ...words], { encoding: 'utf8' });

function tracked(): string[] {
  try {
    return git('ls-files', '-z')
      .split('\0')
      .filter((file) => file !== '' && existsSync(join(root, file)));
  } catch {
    return [];
  }
}

const files = tracked();

test.skipIf(files.length === 0)('no tracked file names a path of one machine or the host of a package registry', () => {
  // Put together from pieces, so that this file does not match itself.
  const words = ['/wo' + 'rk/', '/ro' + 'ot/', '/ho' + 'me/', 'registry' + '.npm', 'deb' + '.debian'];
  const found = files.flatMap((file) => {
    const text = readFileSync(join(root, file), 'latin1');
    return words.filter((word) => text.includes(word)).map((word) => `${file}: ${word}`);
  });
  expect(found).toEqual([]);
});

test('every relative link of a page leads to a file', () => {
  const pages = ['README.md', 'docs/README.md', ...files.filter((file) => /^(docs|hw)\/.*\.md$/.test(file))];
  const broken = pages.flatMap((page) =>
    [...readFileSync(join(root, page), 'utf8').matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)]
      .map((match) => match[1]!)
      .filter((target) => !existsSync(join(root, dirname(page), target)))
      .map((target) => `${page}: ${target}`),
  );
  expect(broken).toEqual([]);
});

test('README.md has at most 150 lines', () => {
  expect(readFileSync(join(root, 'README.md'), 'utf8').trimEnd().split('\n').length).toBeLessThanOrEqual(150);
});
