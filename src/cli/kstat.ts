import { Command } from 'commander';
import { UserError } from '../daemon/errors.ts';
import { ask, findInstance } from './client.ts';
import { clientOptions, instanceOptions, print, sleep } from './common.ts';

/** `xsiftr kstat`: selectors and output as kstat(1) of OpenBSD has them (spec/counters.md 3). */
export function kstatCommand(): Command {
  return clientOptions(new Command('kstat'))
    .description('statistics of queues and rings of a running instance')
    .argument('[selector...]', 'a name, as txq, or provider:instance:name:unit with empty parts for any, as ix1::rxq:0')
    .option('-w, --wait <SECONDS>', 'print again every so many seconds')
    .action(async (selectors: string[], opts: { wait?: string }, cmd: Command) => {
      const query = new URLSearchParams(selectors.map((s): [string, string] => ['sel', checked(s)]));
      const wait = opts.wait === undefined ? 0 : Number(opts.wait);
      if (opts.wait !== undefined && (!/^\d+$/.test(opts.wait) || wait < 1 || wait > 0xffffffff)) {
        throw new UserError(`kstat: -w ${opts.wait}: allowed is a whole number of seconds from 1 to 4294967295`);
      }
      const instance = await findInstance(instanceOptions(cmd));
      for (;;) {
        if (!(await print(await ask(instance, 'GET', `/kstat?${query}`))) || wait === 0) return;
        await sleep(wait * 1000);
      }
    });
}

function checked(selector: string): string {
  const parts = selector.split(':');
  if (parts.length === 1 && selector === '') throw new UserError('kstat: empty name');
  if (parts.length !== 1 && parts.length !== 4) {
    throw new UserError(`kstat: ${selector}: a selector is one name, or provider:instance:name:unit`);
  }
  if (parts.length === 4) {
    for (const n of [parts[1]!, parts[3]!]) {
      if (n !== '' && (!/^\d+$/.test(n) || Number(n) > 0xffffffff)) {
        throw new UserError(`kstat: ${selector}: instance and unit are whole numbers, or empty for any`);
      }
    }
  }
  return selector;
}
