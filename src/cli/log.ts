import { Command } from 'commander';
import { UserError } from '../daemon/errors.ts';
import { logExportCommand } from './log-export.ts';
import { logJoinCommand } from './log-join.ts';
import { logPlotCommand } from './log-plot.ts';
import { logSummaryCommand } from './log-summary.ts';

const EXAMPLES = `
Examples:
  xsiftr log summary trace.log               what each flow did, and whether the counts agree
  xsiftr log plot -o t.html trace.log        its windows and times, to look around in; also as SVG and PNG
  xsiftr log export -o t.parquet trace.log   samples with named columns, also as CSV and NDJSON
  xsiftr log join trace.log peer.pcapng      each line with the captured segment that caused it

A LOG is a SIFTR log of xsiftr or FreeBSD, a trace of Linux's tcp_probe or polls with ss, plain or compressed (gzip, xz, zstd). docs/log.md.
xsiftr log COMMAND --help says more.`;

/** The commands, each in a file of its own, log-NAME.ts. What they read with is in src/log, loaded when one runs. */
const COMMANDS = [logSummaryCommand, logPlotCommand, logExportCommand, logJoinCommand];

/** `xsiftr log`: what is in logs. Asks no running instance. */
export function logCommand(): Command {
  const cmd = new Command('log')
    .description('read SIFTR logs and other traces of connections')
    .usage('COMMAND [options] LOG...')
    .helpCommand(false)
    .enablePositionalOptions()
    .allowExcessArguments()
    .addHelpText('after', EXAMPLES);
  for (const make of COMMANDS) {
    cmd.addCommand(make().helpOption('-h, --help', 'print this help').configureHelp({ helpWidth: 110 }));
  }
  return cmd.action((_: unknown, self: Command) => {
    const names = COMMANDS.map((make) => make().name()).join(', ');
    const word = self.args[0];
    throw new UserError(`log: ${word ?? 'no command'}: allowed is one of the commands ${names}`);
  });
}
