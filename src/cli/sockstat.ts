import { Command } from 'commander';
import type { ConnRecord } from '../views/conn.ts';
import {
  hasPort,
  joined,
  type PortRanges,
  parsePorts,
  parseProtocols,
  portWords,
  sockstatHeader,
  sockstatLine,
  sockstatRecord,
} from '../views/sockstat.ts';
import { askLines, findInstance, type Instance } from './client.ts';
import { clientOptions, instanceOptions, print } from './common.ts';

interface SockstatFlags {
  readonly ipv4?: boolean;
  readonly ipv6?: boolean;
  readonly connected?: boolean;
  readonly listening?: boolean;
  readonly numeric?: boolean;
  readonly ports?: PortRanges;
  readonly protocols?: boolean;
  readonly quiet?: boolean;
  readonly state?: boolean;
  readonly stack?: boolean;
  readonly cc?: boolean;
  readonly wide?: boolean;
  readonly json?: boolean;
}

const EXAMPLES = `
  xsiftr sockstat -4 -l -P tcp          where something listens
  xsiftr sockstat -c -s -p 80,5000-5010 connections of these ports, with their states

FD is the descriptor of the socket endpoint, with the program that opened it there; sockets of the stack's own process have none: FD is ?. One
that its user has closed, or nobody has accepted yet, has ? in the first four columns. -i, -j, -u and others of sockstat(1) have nothing to show here. docs/operating.md.`;

/** `xsiftr sockstat`: output as sockstat(1) of FreeBSD 14 has it, or JSON. */
export function sockstatCommand(): Command {
  return clientOptions(new Command('sockstat'), false)
    .description('sockets of a running instance, in the columns of sockstat(1)')
    .option('-4, --ipv4', 'IPv4 sockets')
    .option('-6, --ipv6', 'IPv6 sockets (there are none yet)')
    .option('-c, --connected', 'connected sockets only')
    .option('-l, --listening', 'listening sockets only; with -c both')
    .option('-p, --ports <PORTS>', 'sockets with one of these ports at either end, as 22,80,5000-5010', ports)
    .option('-P, --protocols <NAMES>', 'sockets of these protocols (all are tcp)', parseProtocols)
    .option('-s, --state', 'states too')
    .option('-S, --stack', 'the TCP stack too (there is one)')
    .option('-C, --cc', 'congestion control too')
    .option('-n, --numeric', 'the user as a number')
    .option('-q, --quiet', 'no header line')
    .option('-w, --wide', 'wide columns for addresses')
    .option('-L, --no-loopback', 'none of the loopback network (there are none)')
    .option('--json', 'one object a line')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: SockstatFlags, cmd: Command) => {
      const instance = await findInstance(instanceOptions(cmd));
      if (!flags.json && !flags.quiet && !(await print(sockstatHeader(flags)))) return;
      for await (const r of sockets(instance, flags)) {
        const text = flags.json
          ? `${JSON.stringify(sockstatRecord(r, instance.info))}\n`
          : sockstatLine(r, instance.info, flags);
        if (!(await print(text))) return;
      }
    });
}

/** Several -p add up. */
function ports(text: string, before: PortRanges = []): PortRanges {
  return joined([...before, ...parsePorts(text)]);
}

async function* sockets(instance: Instance, flags: SockstatFlags): AsyncGenerator<ConnRecord> {
  const { ipv4, ipv6, connected, listening, ports: wanted, protocols } = flags;
  if (protocols === false || (ipv6 && !ipv4)) return;
  const state = connected === listening ? 'all' : connected ? 'connected' : 'listening';
  const query = new URLSearchParams(
    ['state', state, ...portWords(wanted ?? [])].map((w): [string, string] => ['w', w]),
  );
  for await (const line of askLines(instance, `/ss?${query}`)) {
    const r = JSON.parse(line) as ConnRecord;
    if (wanted === undefined || hasPort(r, wanted)) yield r;
  }
}
