import { Command, CommanderError, Option } from 'commander';
import { exitCodeOf, isRefusal, oneLine, UserError } from '../daemon/errors.ts';
import { VERSION } from '../daemon/version.ts';
import { describe, instances } from './client.ts';
import { dnctlCommand } from './dnctl.ts';
import { kstatCommand } from './kstat.ts';
import { logCommand } from './log.ts';
import { netstatCommand } from './netstat.ts';
import { restoreCommand } from './restore.ts';
import { simCommand } from './sim.ts';
import { sockstatCommand } from './sockstat.ts';
import { ssCommand } from './ss.ts';
import { sysctlCommand } from './sysctl.ts';
import { tcpdropCommand } from './tcpdrop.ts';
import { tcpstatsCommand } from './tcpstats.ts';
import { waitCommand } from './wait.ts';

const EXAMPLES = `
Examples:
  xsiftr --iface ix1 --queues 4        take four queues over, with the addresses that the kernel gave ix1
  xsiftr -i ix1 -n                     print all that this would change, and touch nothing
  xsiftr -i ix1 -a 192.0.2.1/24        an address of our own; the kernel's stay reachable
  xsiftr -i ix1 --siftr-log - -t 10s   ten seconds of SIFTR lines on standard output
  xsiftr netstat -s -s                 counters of the running instance that are not zero
  xsiftr ss -tinmHO state established  its connections, as ss(8) shows Linux's
  xsiftr sockstat -l                   where it listens
  xsiftr tcpstats -o flow.csv          its connections twenty times a second, a line each
  xsiftr kstat txq                     its transmit queues
  xsiftr kstat -i ix1 --netns lab txq  those of ix1 in network namespace lab
  xsiftr sim --loss 0.1% --time 30s    a flow over an emulated path in virtual time
  xsiftr log plot t.log -o t.html      windows and round-trip times of a log, to look around in
  xsiftr -i ix1 --pipe out,delay=20ms  send through an emulated link
  xsiftr log summary trace.log         what each flow of a SIFTR log did
  xsiftr dnctl pipe show               the emulated links of the running instance
  xsiftr -i unix:l,addr=192.0.2.1/24   a link over the Unix socket l instead of an interface; no root needed
  xsiftr restore                       undo what a killed instance left behind

Exit status: 0 done, 1 the system refused or something broke, 2 wrong usage. Refusals: docs/troubleshooting.md.`;

const COMMANDS = [
  sysctlCommand,
  kstatCommand,
  netstatCommand,
  ssCommand,
  sockstatCommand,
  tcpdropCommand,
  tcpstatsCommand,
  dnctlCommand,
  waitCommand,
  restoreCommand,
  simCommand,
  logCommand,
];

/** @param run with the options of a run, whose schema takes a while to load and which a command does not need */
async function buildProgram(run: boolean): Promise<Command> {
  const program = new Command('xsiftr');
  program
    .description(
      'Takes queues of a network interface over (AF_XDP), runs a TCP/IP stack on them and shows what every layer does.',
    )
    .usage('--iface IF [--queues N] [options]\n       xsiftr COMMAND [options]')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .enablePositionalOptions()
    .allowExcessArguments()
    .configureHelp({ helpWidth: 110 })
    .addHelpText('after', EXAMPLES);
  if (run) await addRunOptions(program);
  for (const make of COMMANDS) {
    program.addCommand(make().helpOption('-h, --help', 'print this help').configureHelp({ helpWidth: 110 }));
  }
  return program;
}

async function addRunOptions(program: Command): Promise<void> {
  const { CONFIG_FLAGS, optionMetas } = await import('../daemon/options.ts');
  for (const { meta } of optionMetas()) {
    const opt = new Option(meta.flags, meta.help).helpGroup(`${meta.group}:`);
    if (meta.repeat === true) opt.argParser((v: string, list: string[] | undefined) => [...(list ?? []), v]);
    program.addOption(opt);
  }
  program.addOption(
    new Option(CONFIG_FLAGS, 'YAML file of options under the names of this list; the command line wins').helpGroup(
      'Running:',
    ),
  );
  program.action(async (all: Record<string, unknown>, cmd: Command) => {
    // Commander gives a --no-x option a default of its own, which must not win over a config file.
    const opts = Object.fromEntries(Object.entries(all).filter(([key]) => cmd.getOptionValueSource(key) === 'cli'));
    const word = cmd.args[0];
    if (word !== undefined) {
      const names = program.commands.map((c) => c.name()).join(', ');
      throw new UserError(`unknown command ${word}; allowed are ${names}, or --iface IF to start`);
    }
    if (Object.keys(opts).length === 0) return bare(program);
    const { runCommand } = await import('./run.ts');
    process.exitCode = await runCommand(opts);
  });
}

/** Without any argument: the help, what is running, and exit status 2, as nothing was asked for. */
async function bare(program: Command): Promise<void> {
  program.outputHelp({ error: true });
  const all = await instances();
  process.stderr.write(
    all.length === 0 ? '\nRunning: none\n' : `\nRunning:\n${all.map((i) => `  ${describe(i)}\n`).join('')}`,
  );
  process.exitCode = 2;
}

function quiet(cmd: Command): void {
  cmd.exitOverride();
  cmd.configureOutput({ outputError: () => {} });
  cmd.commands.forEach(quiet);
}

/** The command that the words name, and its name with that of the command it belongs to: `log summary`. */
function commandOf(program: Command, argv: readonly string[]): { sub: Command | undefined; path: string } {
  const sub = program.commands.find((c) => c.name() === argv[0]);
  const inner = sub?.commands.find((c) => c.name() === argv[1]);
  return { sub: inner ?? sub, path: argv.slice(0, inner === undefined ? 1 : 2).join(' ') };
}

/** Commander's own complaint as one line in the manner of ours. */
async function usageMessage(err: CommanderError, program: Command, argv: readonly string[]): Promise<string> {
  const given = /'([^']*)'/.exec(err.message)?.[1] ?? '';
  const { sub, path } = commandOf(program, argv);
  if (err.code === 'commander.unknownOption') {
    if (sub === undefined) return (await import('../daemon/options.ts')).unknownOption(given);
    return `unknown option ${given}; xsiftr ${path} --help lists what there is`;
  }
  if (err.code === 'commander.excessArguments' && sub !== undefined) {
    const most = sub.registeredArguments.length;
    return `${path}: ${sub.args[most]}: ${most === 0 ? 'takes no words' : 'one word too many'}; see xsiftr ${path} --help`;
  }
  if (err.code === 'commander.optionMissingArgument') return `${given}: its value is missing; see --help`;
  return err.message.replace(/^error: /, '');
}

/**
 * Runs the command line `argv` (without interpreter and script). Sets `process.exitCode`; prints a refusal as one line on
 * standard error.
 */
export async function main(argv: readonly string[]): Promise<void> {
  const program = await buildProgram(!COMMANDS.some((make) => make().name() === argv[0]));
  quiet(program);
  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (err) {
    if (err instanceof CommanderError) {
      if (err.exitCode === 0) return;
      process.stderr.write(`xsiftr: ${await usageMessage(err, program, argv)}\n`);
      process.exitCode = 2;
      return;
    }
    process.exitCode = exitCodeOf(err);
    process.stderr.write(
      isRefusal(err) ? `xsiftr: ${oneLine(err)}\n` : `xsiftr: ${(err as Error)?.stack ?? String(err)}\n`,
    );
  }
}
