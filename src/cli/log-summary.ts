import { Command } from 'commander';
import { print } from './common.ts';
import { type LogFlags, logChoice, logOptions, ReadingBar, warnBroken } from './log-common.ts';

interface SummaryFlags extends LogFlags {
  readonly json?: boolean;
  readonly strict?: boolean;
}

const NOTES = `
Flows are as flow_list spells them: --flow '192.0.2.1;*-*;80' takes those of 192.0.2.1 with port 80 of anyone. The checks are of all flows.
Lines that cannot be read are left out, named on standard error and counted. docs/log.md explains every number and check.`;

/** `xsiftr log summary`: what each flow of logs did, and the checks of a SIFTR log's counts. */
export function logSummaryCommand(): Command {
  return logOptions(new Command('summary'))
    .description('what each flow did, and whether the counts of the log agree')
    .argument('<log...>', 'logs, plain or compressed; - is standard input')
    .option('--json', 'one object a line and log')
    .option('--strict', 'exit status 1 where a line is broken or a check failed')
    .addHelpText('after', NOTES)
    .action(async (logs: string[], flags: SummaryFlags) => {
      const { open, filter } = await logChoice(flags);
      const [{ openLog }, { hasFaults, summarize }, { summaryText }] = await Promise.all([
        import('../log/open.ts'),
        import('../log/summary/summary.ts'),
        import('../log/summary/text.ts'),
      ]);
      const bar = new ReadingBar();
      for (const [i, path] of logs.entries()) {
        const reader = await openLog(path, open);
        const summary = await summarize(reader, { filter, onProgress: () => bar.draw(reader) });
        bar.clear();
        warnBroken(path, summary.broken, summary.broken_lines);
        if (flags.strict === true && hasFaults(summary)) process.exitCode = 1;
        const text = flags.json === true ? `${JSON.stringify(summary)}\n` : summaryText(summary);
        if (!(await print(i > 0 && flags.json !== true ? `\n${text}` : text))) return;
      }
    });
}
