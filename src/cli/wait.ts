import { Command } from 'commander';
import { SystemError, UserError } from '../daemon/errors.ts';
import { parseDuration } from '../daemon/units.ts';
import { type ClientOptions, controlOf, lookUp } from './client.ts';
import { clientOptions, instanceOptions, sleep } from './common.ts';

/** `xsiftr wait`: returns as soon as an instance forwards packets, for scripts that start one in the background. */
export function waitCommand(): Command {
  return clientOptions(new Command('wait'))
    .description('wait until an instance is ready')
    .option('-t, --timeout <TIME>', 'give up after this time, as 10s or 1m', '30s')
    .action(async (opts: { timeout: string }, cmd: Command) => {
      const limit = parseDuration(opts.timeout);
      if (limit === null) throw new UserError(`wait: --timeout ${opts.timeout}: allowed is a time, as 10s or 1m`);
      const which = instanceOptions(cmd);
      const deadline = performance.now() + limit;
      for (;;) {
        if ((await lookUp(which))?.info.ready === true) return;
        const left = deadline - performance.now();
        if (left <= 0) {
          const within = /^\d+$/.test(opts.timeout) ? `${opts.timeout}s` : opts.timeout;
          throw new SystemError(`wait: ${notReady(which)} within ${within}`);
        }
        await sleep(Math.min(50, left));
      }
    });
}

function notReady(which: ClientOptions): string {
  const path = controlOf(which);
  if (path !== undefined) return `${path} was not ready`;
  const { iface, netns } = which;
  return `no instance${iface === undefined ? '' : ` on ${iface}`}${netns === undefined ? '' : ` in namespace ${netns}`} was ready`;
}
