import { Command } from 'commander';
import { print } from './common.ts';

/** `xsiftr log summary`: what each flow of logs did. */
export function logSummaryCommand(): Command {
  return new Command('summary')
    .description('what each flow did, and whether the counts of the log agree')
    .argument('<log...>', 'logs to read')
    .action(async (logs: string[]) => {
      const { openLog } = await import('../log/open.ts');
      for (const path of logs) {
        let samples = 0;
        for await (const batch of (await openLog(path)).batches()) {
          for (const item of batch) if (item.type === 'sample') samples++;
        }
        if (!(await print(`${path}: ${samples} samples\n`))) return;
      }
    });
}
