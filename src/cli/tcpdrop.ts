import { Command } from 'commander';
import { services } from '../daemon/conns.ts';
import type { Flow } from '../daemon/drop-slice.ts';
import { UserError } from '../daemon/errors.ts';
import { inetAton } from '../stack/net/in-addr.ts';
import { TCP_STATE_NAMES } from '../stack/tcp/tcp-fsm.ts';
import { STACK_NAME } from '../views/sockstat.ts';
import { ask, askLines, type ClientOptions, findInstance } from './client.ts';
import { clientOptions, instanceOptions, print } from './common.ts';

interface TcpdropFlags {
  readonly all?: boolean;
  readonly list?: boolean;
  readonly state?: string;
  readonly cc?: string;
  readonly stack?: string;
}

/** What a command line asks for: one connection, or those that are wanted. */
export type DropRequest =
  | { readonly one: Flow }
  | { readonly one: null; readonly state?: number | undefined; readonly cc?: string | undefined };

/** Connections in CLOSED and LISTEN are none. */
const STATES: readonly string[] = TCP_STATE_NAMES.slice(2);

const FORMS = 'LADDR LPORT FADDR FPORT, LADDR:LPORT FADDR:FPORT, -a, or some of -C, -S and -s';

const EXAMPLES = `
  xsiftr tcpdrop 192.0.2.1 80 192.0.2.2 40000        one connection; also 192.0.2.1:80 192.0.2.2:40000
  xsiftr tcpdrop -s CLOSE_WAIT                       those in this state: ${STATES.join(', ')}
  xsiftr tcpdrop -l -C cubic | grep -vw 22 | sh      those of cubic that have no end at port 22

The peer gets a RST, the program here ECONNABORTED. docs/operating.md.`;

/** `xsiftr tcpdrop`: tcpdrop(8) of FreeBSD. */
export function tcpdropCommand(): Command {
  return clientOptions(new Command('tcpdrop'))
    .description('drop TCP connections of a running instance')
    .argument('[words...]', 'both ends of one connection')
    .option('-a, --all', 'all connections')
    .option('-l, --list', 'print a command for each connection instead of dropping it')
    .option('-s, --state <STATE>', 'connections in this state, as FIN_WAIT_2')
    .option('-C, --cc <NAME>', 'connections with this congestion control')
    .option('-S, --stack <NAME>', `connections of this TCP stack (there is one, ${STACK_NAME})`)
    .addHelpText('after', EXAMPLES)
    .action(async (words: string[], flags: TcpdropFlags, cmd: Command) => {
      const wanted = dropRequest(words, flags);
      const which = instanceOptions(cmd);
      const instance = await findInstance(which);
      if (wanted.one !== null) {
        const { dropped } = JSON.parse(await ask(instance, 'POST', '/tcpdrop', wanted.one)) as { dropped: boolean };
        if (dropped) {
          await print(`${ends(wanted.one)}: dropped\n`);
          return;
        }
        process.stderr.write(`tcpdrop: ${ends(wanted.one)}: No such process\n`);
        process.exitCode = 1;
        return;
      }
      const { state, cc } = wanted;
      const list = flags.list === true;
      for await (const line of askLines(instance, '/tcpdrop', { state, cc, list })) {
        const flow = ends(JSON.parse(line) as Flow);
        if (!(await print(list ? `xsiftr tcpdrop ${flow}${instanceWords(which)}\n` : `${flow}: dropped\n`))) return;
      }
    });
}

/** `laddr lport faddr fport` */
function ends(f: Flow): string {
  return `${f.laddr} ${f.lport} ${f.faddr} ${f.fport}`;
}

/** The options that chose the instance, for a shell. */
function instanceWords(which: ClientOptions): string {
  return Object.entries(which)
    .map(([name, value]) => ` --${name} ${quoted(String(value))}`)
    .join('');
}

function quoted(word: string): string {
  return /^[\w./:@%+=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/**
 * What the words and flags ask for.
 * @throws UserError
 */
export function dropRequest(words: readonly string[], flags: TcpdropFlags): DropRequest {
  const { state, cc, stack } = flags;
  const some = state !== undefined || cc !== undefined || stack !== undefined;
  if (flags.all && some) throw new UserError('tcpdrop: -a takes all connections; leave it out, or -C, -S and -s');
  if (flags.all || some || flags.list) {
    if (words.length > 0)
      throw new UserError(`tcpdrop: ${words.join(' ')}: allowed is one of ${FORMS}; -l with -a, -C, -S or -s`);
    if (stack !== undefined && stack !== STACK_NAME) {
      throw new UserError(`tcpdrop: -S ${stack}: allowed is ${STACK_NAME}, the only stack`);
    }
    if (state !== undefined && !STATES.includes(state)) {
      throw new UserError(`tcpdrop: -s ${state}: allowed are ${STATES.join(', ')}`);
    }
    return { one: null, state: state === undefined ? undefined : STATES.indexOf(state) + 2, cc };
  }
  const four = words.length === 2 ? words.flatMap(split) : words;
  if (four.length !== 4) {
    const given = words.length === 0 ? 'no connection' : words.join(' ');
    throw new UserError(`tcpdrop: ${given}: allowed are ${FORMS}`);
  }
  const [laddr, lport, faddr, fport] = four as [string, string, string, string];
  return { one: { laddr: address(laddr), lport: port(lport), faddr: address(faddr), fport: port(fport) } };
}

/** Address and port, with a period or a colon between. */
function split(word: string): string[] {
  const at = Math.max(word.lastIndexOf('.'), word.lastIndexOf(':'));
  return at < 0 ? [word] : [word.slice(0, at), word.slice(at + 1)];
}

function address(text: string): string {
  try {
    inetAton(text);
    return text;
  } catch {
    throw new UserError(`tcpdrop: ${text}: not an IPv4 address, as 192.0.2.1 (no names; connections are IPv4)`);
  }
}

function port(text: string): number {
  const n = /^\d{1,5}$/.test(text) ? Number(text) : (services().get(text) ?? 0);
  if (n < 1 || n > 65535) {
    throw new UserError(`tcpdrop: port ${text}: allowed is 1 to 65535, or a service of /etc/services`);
  }
  return n;
}
