import { Command } from 'commander';
import { SystemError, UserError } from '../daemon/errors.ts';
import { parseDuration } from '../daemon/units.ts';
import { instances, probe } from './client.ts';
import { clientOptions, instanceOptions, sleep } from './common.ts';

/** `xsiftr wait`: returns as soon as an instance forwards packets, for scripts that start one in the background. */
export function waitCommand(): Command {
  return clientOptions(new Command('wait'))
    .description('wait until an instance is ready')
    .option('-t, --timeout <TIME>', 'give up after this time, as 10s or 1m', '30s')
    .action(async (opts: { timeout: string }, cmd: Command) => {
      const limit = parseDuration(opts.timeout);
      if (limit === null) throw new UserError(`wait: --timeout ${opts.timeout}: allowed is a time, as 10s or 1m`);
      const { iface, control } = instanceOptions(cmd);
      const path = control ?? (iface === undefined ? process.env.XSIFTR_CONTROL : undefined);
      const deadline = performance.now() + limit;
      for (;;) {
        const found = path === undefined ? await instances() : [await probe(path)];
        const fits = found.filter((i) => i?.info.ready === true && (iface === undefined || i.info.iface === iface));
        if (fits.length > 0) return;
        const left = deadline - performance.now();
        if (left <= 0) {
          const within = /^\d+$/.test(opts.timeout) ? `${opts.timeout}s` : opts.timeout;
          if (path === undefined && iface === undefined)
            throw new SystemError(`wait: no instance was ready within ${within}`);
          throw new SystemError(`wait: ${path ?? `an instance on ${iface}`} was not ready within ${within}`);
        }
        await sleep(Math.min(50, left));
      }
    });
}
