import { Command } from 'commander';
import { SystemError } from '../daemon/errors.ts';
import { instanceOptions } from './common.ts';

/** `xsiftr restore [IF]`: undoes what a dead process left changed (DESIGN.md, "Promises"). */
export function restoreCommand(): Command {
  return new Command('restore')
    .description('undo what instances that were killed left changed')
    .argument('[interface]', 'only this one (default: all)')
    .option('--netns <NAME>', 'the interface lives in this network namespace (default: any)')
    .action(async (word: string | undefined, _opts: unknown, cmd: Command) => {
      if (process.getuid?.() !== 0)
        throw new SystemError('restore: putting settings back needs root; run it with sudo');
      const { restore } = await import('../driver/undo.ts');
      // Given before the command they count as well: to overlook one would undo more than was asked for.
      const { iface, netns } = instanceOptions(cmd);
      const ifname = word ?? iface;
      const reports = restore({
        ...(ifname === undefined ? {} : { ifname }),
        ...(netns === undefined ? {} : { netns }),
      });
      for (const r of reports) process.stdout.write(`${r.text}\n`);
      if (reports.length === 0) process.stdout.write(`${ifname ?? 'restore'}: nothing to undo\n`);
      const failed = reports.filter((r) => r.state === 'failed');
      if (failed.length > 0)
        throw new SystemError(`restore: ${failed.length} of ${reports.length} could not be undone`);
    });
}
