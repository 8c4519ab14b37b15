import { defaultRunDir } from '../driver/undo.ts';

/** Where a running instance keeps its control socket and undo file. Mode 0755: the sockets in it have mode 0600. */
export const RUN_DIR: string = defaultRunDir();

/** Default control socket of interface `iface`; one in another network namespace carries its name, as two may have an `ix1`. */
export function controlPath(iface: string, netns: string | null): string {
  return `${RUN_DIR}/${netns === null ? iface : `${iface}@${netns}`}.sock`;
}

/**
 * The file of a worker thread beside the module `url` that starts it: TypeScript in the checkout, JavaScript in the package.
 * @param name path relative to the module, without the ending
 */
export function workerFile(url: string, name: string): URL {
  return new URL(`${name}${url.endsWith('.ts') ? '.ts' : '.js'}`, url);
}
