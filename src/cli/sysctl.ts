import { Command } from 'commander';
import { UserError } from '../daemon/errors.ts';
import {
  assignmentOf,
  renderSysctl,
  renderSysctlChange,
  type SysctlChange,
  type SysctlForm,
  type SysctlRow,
} from '../views/sysctl.ts';
import { ask, findInstance, type Instance } from './client.ts';
import { clientOptions, instanceOptions, print } from './common.ts';

interface SysctlFlags {
  readonly all?: boolean;
  readonly describe?: boolean;
  readonly values?: boolean;
  readonly names?: boolean;
  readonly equals?: boolean;
  readonly quiet?: boolean;
}

/** `xsiftr sysctl`: output as sysctl(8) of FreeBSD has it (spec/siftr.md 10). */
export function sysctlCommand(): Command {
  return clientOptions(new Command('sysctl'))
    .description('read and set the tunables of a running instance')
    .argument('[name[=value]...]', 'names (or the beginning of some) to print, assignments to make')
    .option('-a, --all', 'print all')
    .option('-d, --describe', 'print descriptions instead of values; sets nothing')
    .option('-n, --values', 'print values without names')
    .option('-N, --names', 'print names without values')
    .option('-e, --equals', 'print name=value, to be given back')
    .option('-q, --quiet', 'say nothing of names that there are none of')
    .option('-w, --write', 'no need of it: name=value sets')
    .action(async (words: string[], flags: SysctlFlags, cmd: Command) => {
      if (flags.names && flags.values)
        throw new UserError('sysctl: -N and -n leave nothing to print; give one of them');
      if (words.length === 0 && !flags.all && !flags.describe) {
        throw new UserError('sysctl: name something to print, set one with name=value, or list all with -a');
      }
      await new Sysctl(await findInstance(instanceOptions(cmd)), flags).run(words);
    });
}

class Sysctl {
  readonly #instance: Instance;
  readonly #flags: SysctlFlags;
  readonly #form: SysctlForm;
  /** As they were last asked for; null after an assignment. */
  #rows: SysctlRow[] | null = null;

  constructor(instance: Instance, flags: SysctlFlags) {
    this.#instance = instance;
    this.#flags = flags;
    this.#form = { describe: flags.describe, values: flags.values, names: flags.names, equals: flags.equals };
  }

  /** Does what the words say, in their order, also after one that failed. */
  async run(words: readonly string[]): Promise<void> {
    if (words.length === 0) await this.#print((await this.#list()).filter((r) => r.skip !== true));
    for (const word of words) {
      const { name, value } = assignmentOf(word);
      if (value !== undefined && !this.#flags.describe) await this.#set(word, name, value);
      else await this.#show(name);
    }
  }

  async #list(): Promise<SysctlRow[]> {
    this.#rows ??= JSON.parse(await ask(this.#instance, 'GET', '/sysctl')) as SysctlRow[];
    return this.#rows;
  }

  async #show(name: string): Promise<void> {
    const hits = (await this.#list()).filter(
      (r) => r.name === name || (r.skip !== true && r.name.startsWith(`${name}.`)),
    );
    if (hits.length === 0) this.#failed(`sysctl: unknown oid '${name}'\n`);
    else await this.#print(hits);
  }

  async #set(word: string, name: string, value: string): Promise<void> {
    this.#rows = null;
    const change = JSON.parse(await ask(this.#instance, 'POST', '/sysctl', { name, value })) as SysctlChange;
    const text = renderSysctlChange(change, word, this.#form);
    await print(text.stdout);
    if (change.error !== undefined) this.#failed(text.stderr);
  }

  #failed(line: string): void {
    process.exitCode = 1;
    if (!this.#flags.quiet || !line.startsWith('sysctl: unknown oid')) process.stderr.write(line);
  }

  async #print(rows: readonly SysctlRow[]): Promise<void> {
    await print(rows.map((r) => renderSysctl(r, this.#form)).join(''));
  }
}
