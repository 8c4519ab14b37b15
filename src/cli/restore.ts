import { Command } from 'commander';
import { SystemError } from '../daemon/errors.ts';

/** `xsiftr restore [IF]`: undoes what a dead process left changed (DESIGN.md, "Promises"). */
export function restoreCommand(): Command {
  return new Command('restore')
    .description('undo what instances that were killed left changed')
    .argument('[interface]', 'only this one (default: all)')
    .option('--netns <NAME>', 'the interface lives in this network namespace (default: any)')
    .action(async (ifname: string | undefined, opts: { netns?: string }) => {
      if (process.getuid?.() !== 0)
        throw new SystemError('restore: putting settings back needs root; run it with sudo');
      const { restore } = await import('../driver/undo.ts');
      const reports = restore({
        ...(ifname === undefined ? {} : { ifname }),
        ...(opts.netns === undefined ? {} : { netns: opts.netns }),
      });
      for (const r of reports) process.stdout.write(`${r.text}\n`);
      if (reports.length === 0) process.stdout.write(`${ifname ?? 'restore'}: nothing to undo\n`);
      const failed = reports.filter((r) => r.state === 'failed');
      if (failed.length > 0)
        throw new SystemError(`restore: ${failed.length} of ${reports.length} could not be undone`);
    });
}
