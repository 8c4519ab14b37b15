import { ICMP_MAXTYPE } from '../metrics/decl/icmp.ts';
import type { CounterDecl, Group } from '../metrics/declare.ts';
import { renderLabel } from '../metrics/label.ts';
import { groups, slotOf } from '../metrics/layout.ts';
import { bsdValue, declOf, histogramValue } from '../metrics/read.ts';
import { ViewError } from './view-error.ts';

/** `netstat -s`, `-ss` and `-an` as OpenBSD prints them (spec/counters.md 5 and 7.1). */

const ICMP_NAMES: Readonly<Record<number, string>> = {
  0: 'echo reply',
  3: 'destination unreachable',
  4: 'source quench',
  5: 'routing redirect',
  8: 'echo',
  9: 'router advertisement',
  10: 'router solicitation',
  11: 'time exceeded',
  12: 'parameter problem',
  13: 'time stamp',
  14: 'time stamp reply',
  15: 'information request',
  16: 'information request reply',
  17: 'address mask request',
  18: 'address mask reply',
  30: 'traceroute',
  31: 'data conversion error',
  32: 'mobile host redirect',
  33: 'IPv6 where-are-you',
  34: 'IPv6 i-am-here',
  35: 'mobile registration request',
  36: 'mobile registration reply',
  39: 'SKIP',
  40: 'Photuris',
};

/** The name that netstat gives an ICMP type of 0..40. */
export function icmpTypeName(type: number): string {
  return ICMP_NAMES[type] ?? `#${type}`;
}

const HISTOGRAM_TITLES: Readonly<Record<string, string>> = {
  icps_outhist: 'Output packet histogram:',
  icps_inhist: 'Input packet histogram:',
};

/** The lines of a histogram, which zero types have none of, in either mode. */
function histogramText(decl: CounterDecl, values: Float64Array): string {
  const slot = slotOf.get(decl.name)!;
  let text = '';
  for (let type = 0; type <= ICMP_MAXTYPE; type++) {
    const n = values[slot + type]!;
    if (n === 0) continue;
    if (text === '') text = `\t${HISTOGRAM_TITLES[decl.name]}\n`;
    text += `\t\t${icmpTypeName(type)}: ${n}\n`;
  }
  return text;
}

/** A histogram of times: the line with how many, and one for each class that is not empty. */
function timesText(decl: CounterDecl, values: Float64Array, nonZero: boolean): string {
  const { counts, total, sum } = histogramValue(decl, values);
  if (nonZero && total === 0) return '';
  const lines = counts.map((n, i) => {
    const bound = decl.bounds![i];
    return n === 0 ? '' : `\t\t${bound === undefined ? 'more' : `at most ${bound} us`}: ${n}\n`;
  });
  return `${renderLabel(decl.label!, total, 0)}\n${lines.join('')}${total === 0 ? '' : `\t\tsum in us: ${Math.round(sum)}\n`}`;
}

function lineText(group: Group, decl: CounterDecl, values: Float64Array, nonZero: boolean): string {
  if (decl.bounds !== undefined) return timesText(decl, values, nonZero);
  if (decl.span !== undefined) return histogramText(decl, values);
  if (decl.label === undefined) return '';
  const n = bsdValue(decl, values);
  const m = decl.and === undefined ? 0 : bsdValue(declOf(group, decl.and), values);
  if (nonZero && n === 0 && (m === 0 || decl.onlyN)) return '';
  return `${renderLabel(decl.label, n, m)}\n`;
}

interface Section {
  readonly name: string;
  readonly group: Group;
  readonly decls: readonly CounterDecl[];
}

/** BSD's sections in BSD's order, then those of this project. */
function sections(): Section[] {
  const bsd: Section[] = [];
  const ours = new Map<string, Section & { decls: CounterDecl[] }>();
  for (const group of groups) {
    const decls = group.decls.filter((d) => !d.ext);
    if (decls.length > 0) bsd.push({ name: group.name, group, decls });
    for (const decl of group.decls) {
      if (!decl.ext) continue;
      const name = decl.section ?? group.extSection;
      const section = ours.get(name);
      if (section === undefined) ours.set(name, { name, group, decls: [decl] });
      else section.decls.push(decl);
    }
  }
  return [...bsd, ...ours.values()];
}

const allSections: readonly Section[] = sections();

/** Names that `-p` takes with `-s`, in printing order. */
export const statisticsSections: readonly string[] = allSections.map((s) => s.name);

/**
 * The text of `netstat -s`, or with `nonZero` that of `netstat -ss`.
 * @param values   the blocks of all writers, combined
 * @param protocol print this section only
 * @throws ViewError for a protocol that has no section
 */
export function renderStatistics(values: Float64Array, nonZero: boolean, protocol: string | null = null): string {
  const chosen = protocol === null ? allSections : allSections.filter((s) => s.name === protocol);
  if (chosen.length === 0) {
    throw new ViewError(`${protocol}: unknown or uninstrumented protocol; known are ${statisticsSections.join(', ')}`);
  }
  return chosen
    .map((s) => `${s.name}:\n${s.decls.map((d) => lineText(s.group, d, values, nonZero)).join('')}`)
    .join('');
}

/** A connection or a listening port. */
export interface Connection {
  /** Text of the address; '' or '*' when unspecified. */
  readonly laddr: string;
  readonly lport: number;
  readonly faddr: string;
  readonly fport: number;
  /** Bytes in the receive and in the send buffer. */
  readonly recvq: number;
  readonly sendq: number;
  /** BSD's name of the state: CLOSED LISTEN SYN_SENT SYN_RCVD ESTABLISHED CLOSE_WAIT FIN_WAIT_1 CLOSING LAST_ACK FIN_WAIT_2 TIME_WAIT. */
  readonly state: string;
}

/** `host.port`: host cut at 16, unspecified address and port 0 as `*`, the whole cut at 22. */
function endpoint(addr: string, port: number): string {
  const host = addr === '' || addr === '*' ? '*' : addr.slice(0, 16);
  return `${host}.${port === 0 ? '*' : port}`.slice(0, 22);
}

function row(proto: string, recvq: string, sendq: string, local: string, foreign: string, state: string): string {
  return `${proto.padEnd(7)} ${recvq} ${sendq}  ${local.padEnd(22)} ${foreign.padEnd(22)} ${state}\n`;
}

/**
 * The text of `netstat -n` (and with `all` of `netstat -an`) for TCP over IPv4. Nothing at all, no header either, when there is
 * nothing to list. Names are never looked up.
 * @throws ViewError for a protocol other than tcp
 */
export function renderConnections(
  connections: readonly Connection[],
  all: boolean,
  protocol: string | null = null,
): string {
  if (protocol !== null && protocol !== 'tcp') {
    throw new ViewError(`${protocol}: unknown or uninstrumented protocol; known is tcp`);
  }
  const shown = connections
    .filter((c) => all || (c.state !== 'CLOSED' && c.state !== 'LISTEN'))
    .sort((a, b) => b.fport - a.fport || a.lport - b.lport);
  if (shown.length === 0) return '';
  return [
    `Active Internet connections${all ? ' (including servers)' : ''}\n`,
    row('Proto', 'Recv-Q', 'Send-Q', 'Local Address', 'Foreign Address', 'TCP-State'),
    ...shown.map((c) =>
      row(
        'tcp',
        String(c.recvq).padStart(6),
        String(c.sendq).padStart(6),
        endpoint(c.laddr, c.lport),
        endpoint(c.faddr, c.fport),
        c.state,
      ),
    ),
  ].join('');
}
