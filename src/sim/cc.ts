import { pathToFileURL } from 'node:url';
import { CC_DEFAULT, ccFind, ccNames, ccRegister } from '../stack/tcp/cc/registry.ts';
import { SimError } from './error.ts';

export { CC_DEFAULT };

/** Names of modules by the file or package that they came from. */
const loaded = new Map<string, string>();

/**
 * The name of a loaded congestion-control module, checked.
 * @param given its name, or the file or package that `loadCc` has loaded
 * @param option what the refusal begins with
 * @throws SimError
 */
export function checkCc(given: string, option = '--cc '): string {
  try {
    return ccFind(loaded.get(given) ?? given).name;
  } catch (err) {
    throw new SimError(`${option}${(err as Error).message}`);
  }
}

/**
 * Loads the congestion-control module that a file (`./mine.ts`) or a package exports by default, once.
 * @param given file or package; the name of a module that is loaded is taken as it is
 * @returns the module's name, which experiments take from here on, as they take what was given
 * @throws SimError when it cannot be loaded or is none
 */
export async function loadCc(given: string): Promise<string> {
  const known = ccNames().includes(given) ? given : loaded.get(given);
  if (known !== undefined) return known;
  let name: string;
  try {
    const file = /[/\\]/.test(given) && !given.startsWith('@');
    const module = (await import(file ? pathToFileURL(given).href : given)) as { default?: unknown };
    ({ name } = ccRegister(module.default, `--cc ${given}`));
  } catch (err) {
    const { message } = err as Error;
    if (/^[\w-]+$/.test(given)) throw new SimError(`--cc ${given}: allowed are ${ccNames().join(', ')}, or a file`);
    throw new SimError(message.startsWith('--cc ') ? message : `--cc ${given}: ${message.split('\n')[0]}`);
  }
  loaded.set(given, name);
  return name;
}
