import { readFileSync } from 'node:fs';

/** The version that package.json states, `0.1.0`; the file lies one folder up in the checkout and in the package alike. */
export const VERSION: string = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version;

const HASH = /^[0-9a-f]{40,64}$/;

/**
 * The commit that this program is of: the one that `make dist` wrote into the package, else what is checked out here; null when neither is known. What
 * was changed in a checkout and not committed does not show.
 */
export function commitOf(): string | null {
  const packed = text(new URL('./commit', import.meta.url));
  if (packed !== null) return HASH.test(packed) ? packed : null;
  try {
    return checkedOut(new URL('../.git', import.meta.url));
  } catch {
    return null;
  }
}

/** HEAD of a checkout (gitrepository-layout(5)). In a second working tree `.git` is a file that names the folder. */
function checkedOut(dotGit: URL): string | null {
  const file = text(dotGit);
  const dir = file === null ? `${dotGit.pathname}/` : `${file.replace(/^gitdir: /, '')}/`;
  const head = text(`${dir}HEAD`);
  if (head === null) return null;
  const ref = /^ref: (.+)$/.exec(head)?.[1];
  if (ref === undefined) return HASH.test(head) ? head : null;
  const common = text(`${dir}commondir`);
  const top = common === null ? dir : `${common.startsWith('/') ? '' : dir}${common}/`;
  const loose = text(`${dir}${ref}`) ?? text(`${top}${ref}`);
  if (loose !== null) return HASH.test(loose) ? loose : null;
  const line = text(`${top}packed-refs`)
    ?.split('\n')
    .find((l) => l.endsWith(` ${ref}`));
  return line?.split(' ')[0] ?? null;
}

/** A small file's text without the blanks around it; null when there is none to be read. */
function text(path: URL | string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}
