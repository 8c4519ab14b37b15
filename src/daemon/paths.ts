import { lstatSync } from 'node:fs';
import { defaultRunDir } from '../driver/undo.ts';

/** Where a running instance keeps its control socket, or a link to it, and its undo file. Mode 0755: the sockets in it have mode 0600. */
export const RUN_DIR: string = defaultRunDir();

/**
 * Where an ordinary user's instance keeps its control socket: what it serves needs no rights, and that user may not write in RUN_DIR. The
 * same as RUN_DIR for root, and where XSIFTR_RUN_DIR names another.
 */
export const USER_RUN_DIR: string = userRunDir(process.getuid?.() ?? 0, process.env);

/** XDG_RUNTIME_DIR is the user's own (XDG Base Directory Specification); without it a directory of the user's below /tmp. */
export function userRunDir(uid: number, env: NodeJS.ProcessEnv): string {
  if (uid === 0 || env.XSIFTR_RUN_DIR) return RUN_DIR;
  return env.XDG_RUNTIME_DIR ? `${env.XDG_RUNTIME_DIR}/xsiftr` : `/tmp/xsiftr-${uid}`;
}

/** Whether a run directory is ours or root's, so that nobody else can have put a socket into it; true where there is none. */
export function trustedDir(dir: string): boolean {
  const st = lstatSync(dir, { throwIfNoEntry: false });
  return st === undefined || (st.isDirectory() && (st.uid === 0 || st.uid === process.getuid?.()));
}

/** Default control socket of an instance on Unix links whose first is `name`. */
export function userControlPath(name: string): string {
  return `${USER_RUN_DIR}/${name}.sock`;
}

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
