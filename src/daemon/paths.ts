import { defaultRunDir } from '../driver/undo.ts';

/** Where a running instance keeps its control socket, or a link to it, and its undo file. Mode 0755: the sockets in it have mode 0600. */
export const RUN_DIR: string = defaultRunDir();

/** Default control socket of interface `iface`; one in another network namespace carries its name, as two may have an `ix1`. */
export function controlPath(iface: string, netns: string | null): string {
  return `${RUN_DIR}/${netns === null ? iface : `${iface}@${netns}`}.sock`;
}

/** Ending of a link in the run directory that leads to a control socket of another place or name. */
export const CONTROL_LINK = '.control';

/** The link for the instance whose undo file is `undoPath`: who has that file has this name too. */
export function controlLink(undoPath: string): string {
  return undoPath.replace(/\.undo$/, CONTROL_LINK);
}

/**
 * The file of a worker thread beside the module `url` that starts it: TypeScript in the checkout, JavaScript in the package.
 * @param name path relative to the module, without the ending
 */
export function workerFile(url: string, name: string): URL {
  return new URL(`${name}${url.endsWith('.ts') ? '.ts' : '.js'}`, url);
}
