import { parseRunOptions } from './daemon/options.ts';
import { runDaemon } from './daemon/run.ts';

/** The package's public interface: what `import … from 'xsiftr'` gives. Everything else in the package is private. */

export { type Attached, type AttachOptions, attach, type StackClock } from './daemon/attach.ts';
export { SystemError, UserError } from './daemon/errors.ts';
export { VERSION } from './daemon/version.ts';
export { type NetApi, Server, Socket } from './net/index.ts';

/**
 * Runs an instance in this process, as `xsiftr --iface …` does: it takes the interface over, serves until SIGINT, SIGTERM or
 * the end of `duration`, gives the interface back and drops the process's privileges on the way, so give it a process of its own.
 * @param options the command line's options under the same names in camelCase, `{ iface: 'ix1', queues: 4, serve: 'http' }`
 * @returns the exit status: 0 after a signal or the end of `duration`, 1 when something broke, 2 when the interface was refused
 * @throws UserError when an option is refused, SystemError when the system refuses; the interface is as it was then
 */
export function run(options: Readonly<Record<string, unknown>>): Promise<number> {
  return runDaemon(parseRunOptions(options));
}
