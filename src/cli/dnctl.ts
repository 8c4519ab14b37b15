import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { UserError } from '../daemon/errors.ts';
import { parseCommand } from '../dummynet/command.ts';
import type { DnctlReply } from '../dummynet/control.ts';
import { ask, findInstance } from './client.ts';
import { clientOptions, instanceOptions } from './common.ts';

const FORMS = `
Commands:
  pipe N config [bw RATE] [delay TIME] [queue N | SIZE] [plr P] …   make a pipe, or configure it anew
  pipe show [N…], show                                              pipes and what they have done
  pipe delete N…                                                    with their rules and packets
  rule add [N] pipe N PROTO from SRC [PORT] to DST [PORT] [in|out]  send packets to a pipe
  rule show [N…], rule list [N…], rule delete N…, rule flush
  flush                                                             delete all pipes and rules

All options: docs/dummynet.md.`;

/** `xsiftr dnctl`: emulated links on a running instance, in the words of dnctl(8) and ipfw(8) of FreeBSD. */
export function dnctlCommand(): Command {
  return clientOptions(new Command('dnctl'))
    .description('emulated links (dummynet) of a running instance: rate, delay, queue, loss')
    .argument('[word...]', 'a command, as pipe 1 config bw 10Mbit/s delay 20ms')
    .option('-q, --quiet', 'say nothing, also where there is nothing to delete')
    .option('-n, --dry-run', 'only check the words')
    .option('-f, --force', 'ask nothing (it never asks)')
    .addHelpText('after', FORMS)
    .action(async (words: string[], opts: { quiet?: boolean; dryRun?: boolean }, cmd: Command) => {
      const files: Record<string, string> = {};
      // Files are read here: the instance has given up its rights, and may run elsewhere in the tree.
      parseCommand(words, (name) => {
        files[name] = readText(name);
        return files[name];
      });
      if (opts.dryRun === true) return;
      const body = { words, quiet: opts.quiet === true, files };
      const reply = JSON.parse(
        await ask(await findInstance(instanceOptions(cmd)), 'POST', '/dnctl', body),
      ) as DnctlReply;
      process.stdout.write(reply.text);
      for (const note of reply.notes) process.stderr.write(`dnctl: ${note}\n`);
    });
}

function readText(name: string): string {
  try {
    return readFileSync(name, 'utf8');
  } catch (err) {
    throw new UserError(`trace ${name}: cannot be read (${(err as NodeJS.ErrnoException).code})`);
  }
}
