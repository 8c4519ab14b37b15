import { Command } from 'commander';
import { ask, findInstance } from './client.ts';
import { clientOptions, instanceOptions, print } from './common.ts';

interface NetstatOptions {
  readonly statistics: number;
  readonly all?: boolean;
  readonly numeric?: boolean;
  readonly protocol?: string;
}

/** `xsiftr netstat`: output as netstat(1) of OpenBSD has it (spec/counters.md 5 and 7). */
export function netstatCommand(): Command {
  return clientOptions(new Command('netstat'))
    .description('protocol counters and connections of a running instance')
    .option(
      '-s, --statistics',
      'counters of every protocol; twice: only those that are not zero',
      (_: string, n: number) => n + 1,
      0,
    )
    .option('-a, --all', 'connections and listening ports (without -s)')
    .option('-n, --numeric', 'addresses and ports as numbers (always so)')
    .option('-p, --protocol <NAME>', 'only this protocol, as tcp')
    .action(async (opts: NetstatOptions, cmd: Command) => {
      const query = new URLSearchParams({ s: String(Math.min(2, opts.statistics)), a: opts.all === true ? '1' : '0' });
      if (opts.protocol !== undefined) query.set('p', opts.protocol);
      await print(await ask(await findInstance(instanceOptions(cmd)), 'GET', `/netstat?${query}`));
    });
}
