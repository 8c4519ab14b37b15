import { Command } from 'commander';
import { ssFilter } from '../daemon/conns.ts';
import { CONN_FIELDS } from '../stack/tcp/conn-fields.ts';
import type { ConnRecord } from '../views/conn.ts';
import { SsSummary, SsTable } from '../views/ss.ts';
import { askLines, findInstance } from './client.ts';
import { clientOptions, instanceOptions, print } from './common.ts';

interface SsFlags {
  readonly all?: boolean;
  readonly listening?: boolean;
  readonly numeric?: boolean;
  readonly tcp?: boolean;
  readonly ipv4?: boolean;
  readonly options?: boolean;
  readonly extended?: boolean;
  readonly memory?: boolean;
  readonly info?: boolean;
  readonly summary?: boolean;
  /** Commander's name of --no-header, true by default. */
  readonly header?: boolean;
  readonly oneline?: boolean;
  readonly json?: boolean;
  readonly fields?: boolean;
}

const EXAMPLES = `
The filter is that of ss(8):  [state NAME]... [exclude NAME]... [EXPRESSION]
  xsiftr ss -tinmHO state established '( dport = :80 or sport = :80 )'
  xsiftr ss -tan dst 192.0.2.0/24 and not sport = :22
  xsiftr ss --json state established | jq .cwnd_bytes

-i is --info here; choose the instance with --iface, --netns or --control. Fields and units: xsiftr ss --fields, docs/ss.md.`;

/** `xsiftr ss`: output as ss(8) of iproute2 has it, or JSON. */
export function ssCommand(): Command {
  return clientOptions(new Command('ss'), false)
    .description('connections of a running instance, in the format of ss(8) or as JSON')
    .argument('[filter...]', 'states and an expression, as of ss')
    .option('-a, --all', 'listening and connected sockets')
    .option('-l, --listening', 'listening sockets only')
    .option('-n, --numeric', 'rates as whole numbers (addresses and ports always are)')
    .option('-t, --tcp', 'TCP sockets (there are no others); without the Netid column')
    .option('-4, --ipv4', 'IPv4 sockets (there are no others)')
    .option('-o, --options', 'timers, and with -i the TCP options in use')
    .option('-e, --extended', 'the same, and what identifies the socket')
    .option('-m, --memory', 'memory of the socket')
    .option('-i, --info', 'TCP and congestion control')
    .option('-s, --summary', 'how many there are in each state')
    .option('-H, --no-header', 'no header line')
    .option('-O, --oneline', 'one line a socket')
    .option('--json', 'one object a line, with every field that has a value')
    .option('--fields', 'list the fields of --json with their units, and ask nobody')
    .addHelpText('after', EXAMPLES)
    .action(async (words: string[], flags: SsFlags, cmd: Command) => {
      if (flags.fields) {
        await print(flags.json ? CONN_FIELDS.map(fieldJson).join('') : fieldList());
        return;
      }
      const wanted = { all: flags.all === true || flags.summary === true, listening: flags.listening === true };
      const filter = ssFilter(words, wanted);
      const query = new URLSearchParams(words.map((w): [string, string] => ['w', w]));
      query.set('a', wanted.all ? '1' : '0');
      query.set('l', wanted.listening ? '1' : '0');
      const lines = askLines(await findInstance(instanceOptions(cmd)), `/ss?${query}`);
      if (flags.json) {
        for await (const line of lines) if (!(await print(`${line}\n`))) return;
        return;
      }
      if (flags.summary) {
        const sum = new SsSummary();
        for await (const line of lines) sum.add(JSON.parse(line) as ConnRecord);
        await print(sum.text());
        return;
      }
      const table = new SsTable({
        ...flags,
        noHeader: flags.header === false,
        noNetid: flags.tcp === true,
        noState: (filter.states & (filter.states - 1)) === 0,
      });
      for await (const line of lines) if (!(await print(table.add(JSON.parse(line) as ConnRecord)))) return;
      await print(table.end());
    });
}

type Field = (typeof CONN_FIELDS)[number];

function fieldJson({ name, type, unit, ss, help }: Field): string {
  return `${JSON.stringify({ name, type, unit, ss, help })}\n`;
}

function fieldList(): string {
  return CONN_FIELDS.map((f) => `${f.name.padEnd(20)} ${(f.unit || f.type).padEnd(9)} ${f.help}\n`).join('');
}
