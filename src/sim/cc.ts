import { loadCc as load } from '../load/cc-load.ts';
import { CC_DEFAULT, ccFind } from '../stack/tcp/cc/registry.ts';
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
 * Loads the congestion-control module of a file (`./mine.ts`) or a package, once.
 * @param given file or package; the name of a module that is loaded is taken as it is
 * @returns the module's name, which experiments take from here on, as they take what was given
 * @throws CcError, one line, when it cannot be loaded or is none
 */
export async function loadCc(given: string): Promise<string> {
  const known = loaded.get(given);
  if (known !== undefined) return known;
  const name = (await load([given])).first!;
  loaded.set(given, name);
  return name;
}
