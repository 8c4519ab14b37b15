import { Command } from 'commander';
import { UserError } from '../daemon/errors.ts';
import { renderSysctl, renderSysctlChange, type SysctlChange, type SysctlRow } from '../views/sysctl.ts';
import { ask, findInstance } from './client.ts';
import { clientOptions, instanceOptions } from './common.ts';

/** `xsiftr sysctl`: output as sysctl(8) of FreeBSD has it (spec/siftr.md 10). */
export function sysctlCommand(): Command {
  return clientOptions(new Command('sysctl'))
    .description('read and set the tunables of a running instance')
    .argument('[name[=value]...]', 'names (or the beginning of some) to print, assignments to make')
    .option('-a, --all', 'print all')
    .option('-d, --describe', 'print descriptions instead of values')
    .option('-n, --values', 'print values without names')
    .action(async (words: string[], opts: { all?: boolean; describe?: boolean; values?: boolean }, cmd: Command) => {
      if (words.length === 0 && !opts.all && !opts.describe) {
        throw new UserError('sysctl: name something to print, set one with name=value, or list all with -a');
      }
      const instance = await findInstance(instanceOptions(cmd));
      const rows = JSON.parse(await ask(instance, 'GET', '/sysctl')) as SysctlRow[];
      const print = (row: SysctlRow): void => {
        process.stdout.write(renderSysctl(row, opts.describe === true, opts.values === true));
      };
      if (words.length === 0) rows.filter((r) => r.skip !== true).forEach(print);
      for (const word of words) {
        const eq = word.indexOf('=');
        if (eq > 0) {
          const change = JSON.parse(
            await ask(instance, 'POST', '/sysctl', { name: word.slice(0, eq), value: word.slice(eq + 1) }),
          ) as SysctlChange;
          const text = renderSysctlChange(change, word);
          process.stdout.write(text.stdout);
          process.stderr.write(text.stderr);
          if (change.error !== undefined) process.exitCode = 1;
          continue;
        }
        const hits = rows.filter((r) => r.name === word || (r.skip !== true && r.name.startsWith(`${word}.`)));
        if (hits.length === 0) {
          process.stderr.write(`sysctl: unknown oid '${word}'\n`);
          process.exitCode = 1;
        }
        hits.forEach(print);
      }
    });
}
