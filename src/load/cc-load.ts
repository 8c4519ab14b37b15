import { existsSync } from 'node:fs';
import { createRequire, registerHooks } from 'node:module';
import { extname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { CcError, ccFault, ccNames, ccRegister } from '../stack/tcp/cc/registry.ts';

/** What `--cc` gave: where the modules are, for every thread to load them, and which one is the default. */
export interface LoadedCc {
  /** File URLs, in the order given. */
  readonly urls: readonly string[];
  /** The first that was named, or null. */
  readonly first: string | null;
}

const SELF = 'xsiftr/cc';
/** Names of the modules by the URL that they came from. */
const loaded = new Map<string, readonly string[]>();
let hooked = false;

/**
 * A module's `import … from 'xsiftr/cc'` is this very program's, wherever the file lies and whatever is installed there. Other imports
 * are Node's affair.
 */
function hookSelf(): void {
  if (hooked) return;
  hooked = true;
  const own = new URL(`../cc${extname(import.meta.filename)}`, import.meta.url).href;
  registerHooks({
    resolve: (name, context, next) => (name === SELF ? { url: own, shortCircuit: true } : next(name, context)),
  });
}

/** Loads a file, once, and takes its modules in. @param given what the user wrote, for the refusal */
async function loadUrl(url: string, given: string): Promise<readonly string[]> {
  const known = loaded.get(url);
  if (known !== undefined) return known;
  hookSelf();
  let exported: unknown;
  try {
    exported = ((await import(url)) as { default?: unknown }).default;
  } catch (err) {
    throw new CcError('EINVAL', `--cc ${given}: cannot be loaded: ${firstLine(err)}`);
  }
  if (exported === undefined) {
    throw new CcError('EINVAL', `--cc ${given}: it has no default export; write export default { name, create() }`);
  }
  const list: unknown[] = Array.isArray(exported) ? exported : [exported];
  if (list.length === 0) throw new CcError('EINVAL', `--cc ${given}: its default export is an empty array`);
  // All are looked at before one is taken.
  for (const m of list) {
    const fault = ccFault(m);
    if (fault !== '') throw new CcError('EINVAL', `--cc ${given}: not a congestion-control module: ${fault}`);
  }
  const names = list.map((m) => ccRegister(m, `--cc ${given}`).name);
  loaded.set(url, names);
  return names;
}

function firstLine(err: unknown): string {
  const [line] = (err instanceof Error ? err.message : String(err)).trim().split('\n');
  // Which of our files asked for it is no matter of the user's.
  return line!.replace(/(?: resolving ES modules)? imported from .*$/, '');
}

/** Where a file or package is, or null for what is neither. */
function locate(given: string): string | null {
  if (/[/\\]/.test(given) && !given.startsWith('@'))
    return existsSync(given) ? pathToFileURL(resolve(given)).href : null;
  if (/\.[cm]?[jt]s$/.test(given) && existsSync(given)) return pathToFileURL(resolve(given)).href;
  for (const base of [join(process.cwd(), 'package.json'), import.meta.filename]) {
    try {
      return pathToFileURL(createRequire(base).resolve(given)).href;
    } catch {
      // Perhaps from where xsiftr is installed.
    }
  }
  return null;
}

/**
 * Loads what `--cc` names: a module that is there by its name, a file (TypeScript or JavaScript) or a package that ships JavaScript; the
 * default export is a CcModule or an array of them. What is loaded already is taken as it is.
 * @param given in the order of the command line
 * @throws CcError, one line that begins with `--cc` and what was given
 */
export async function loadCc(given: readonly string[]): Promise<LoadedCc> {
  const urls: string[] = [];
  let first: string | null = null;
  for (const g of given) {
    let name = g;
    if (!ccNames().includes(g)) {
      const url = locate(g);
      if (url === null) {
        const what = /[/\\.]/.test(g) ? 'no such file' : 'no such module, file or package';
        throw new CcError(
          'ENOENT',
          `--cc ${g}: ${what}; allowed are ${ccNames().join(', ')}, a file, or an installed package`,
        );
      }
      name = (await loadUrl(url, g))[0]!;
      if (!urls.includes(url)) urls.push(url);
    }
    first ??= name;
  }
  return { urls, first };
}

/** Loads in this thread what `loadCc` found in another. */
export async function loadCcUrls(urls: readonly string[]): Promise<void> {
  for (const url of urls) await loadUrl(url, fileURLToPath(url));
}
