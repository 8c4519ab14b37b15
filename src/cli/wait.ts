import { Command } from 'commander';
import { SystemError, UserError } from '../daemon/errors.ts';
import { parseDuration } from '../daemon/units.ts';
import { type ClientOptions, instances, probe } from './client.ts';
import { clientOptions, sleep } from './common.ts';

/** `xsiftr wait`: returns as soon as an instance forwards packets, for scripts that start one in the background. */
export function waitCommand(): Command {
  return clientOptions(new Command('wait'))
    .description('wait until an instance is ready')
    .option('-t, --timeout <TIME>', 'give up after this time, as 10s or 1m', '30s')
    .action(async (opts: ClientOptions & { timeout: string }) => {
      const limit = parseDuration(opts.timeout);
      if (limit === null) throw new UserError(`wait: --timeout ${opts.timeout}: allowed is a time, as 10s or 1m`);
      const path = opts.control ?? (opts.iface === undefined ? process.env.XSIFTR_CONTROL : undefined);
      const deadline = performance.now() + limit;
      for (;;) {
        const found = path === undefined ? await instances() : [await probe(path)];
        const fits = found.filter(
          (i) => i?.info.ready === true && (opts.iface === undefined || i.info.iface === opts.iface),
        );
        if (fits.length > 0) return;
        const left = deadline - performance.now();
        if (left <= 0) {
          const what = path ?? (opts.iface === undefined ? 'any instance' : `an instance on ${opts.iface}`);
          throw new SystemError(`wait: ${what} was not ready within ${opts.timeout}`);
        }
        await sleep(Math.min(50, left));
      }
    });
}
