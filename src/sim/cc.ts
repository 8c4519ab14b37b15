import { pathToFileURL } from 'node:url';
import { CC_DEFAULT, ccFind, ccRegister } from '../stack/tcp/cc/registry.ts';
import { SimError } from './error.ts';

export { CC_DEFAULT };

/**
 * The name of a loaded congestion-control module, checked.
 * @param option what the refusal begins with, `--cc`
 * @throws SimError
 */
export function checkCc(name: string, option = '--cc'): string {
  try {
    return ccFind(name).name;
  } catch (err) {
    throw new SimError(`${option}${option.endsWith('=') ? '' : ' '}${(err as Error).message}`);
  }
}

/** Modules that were loaded, by file or package. */
const loaded = new Map<string, string>();

/**
 * Loads the congestion-control module that a file (`./mine.ts`) or package exports by default, and gives its name. What has neither a dot, a slash nor an
 * @ in it is a name already.
 * @throws SimError when it cannot be loaded or is none
 */
export async function loadCc(spec: string): Promise<string> {
  if (!/[./@]/.test(spec)) return spec;
  const url = /^\.{0,2}\//.test(spec) ? pathToFileURL(spec).href : spec;
  const known = loaded.get(url);
  if (known !== undefined) return known;
  let module: { default?: unknown };
  try {
    module = (await import(url)) as { default?: unknown };
  } catch (err) {
    throw new SimError(`--cc ${spec}: ${(err as Error).message}`, 1);
  }
  try {
    const { name } = ccRegister(module.default, spec);
    loaded.set(url, name);
    return name;
  } catch (err) {
    throw new SimError(`--cc ${(err as Error).message}`);
  }
}
