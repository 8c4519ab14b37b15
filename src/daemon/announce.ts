import { inetNtoa } from '../stack/net/in-addr.ts';
import type { NicPlan, Plan } from './plan.ts';
import { findService } from './services/index.ts';
import type { Totals } from './status.ts';
import { formatDuration, formatSi, formatSize } from './units.ts';

/**
 * The lines of a start: what was attached, what it serves, where to look.
 * @param attached the lines of what was attached
 */
export function announceLines(plan: Plan, attached: readonly string[]): string[] {
  const { name, options: o } = plan;
  const serving = `serving ${o.serve.length === 0 ? 'nothing' : o.serve.map((s) => `${s} ${findService(s)?.port}`).join(', ')}`;
  const lines = [...attached, `${name}: ${plan.kind === 'nic' ? `${nicFacts(plan)}, ` : ''}${serving}`];
  const look = [];
  if (o.siftr) look.push(`SIFTR log ${o.siftrLog === '-' ? 'on standard output' : o.siftrLog}`);
  if (o.metrics !== null) look.push(`metrics http://${o.metrics.host}:${o.metrics.port}/metrics`);
  look.push(`control ${plan.controlPath}`);
  if (o.sockets !== undefined) look.push(`sockets ${o.sockets}`);
  lines.push(`${name}: ${look.join(', ')}`);
  lines.push(`${name}: look with xsiftr netstat -s, xsiftr netstat -an, xsiftr kstat, xsiftr sysctl -a`);
  return lines;
}

function nicFacts(plan: NicPlan): string {
  const addrs = plan.addrs.map((a) => `${inetNtoa(a.addr)}/${a.prefixLen}`).join(', ');
  return `${addrs}${plan.adopted ? " (the kernel's)" : ''}, MTU ${plan.mtu}`;
}

/** Logs that the summary names. */
const LOGS_SHOWN = 4;

/** What a run was, for people and for `--json`. */
export interface Summary {
  readonly iface: string;
  readonly queues: number;
  readonly mode: string;
  readonly seconds: number;
  /** Why it ended: `SIGINT`, `duration`, or the error. */
  readonly reason: string;
  readonly rx: { readonly packets: number; readonly bytes: number };
  readonly tx: { readonly packets: number; readonly bytes: number };
  readonly connections: { readonly accepted: number; readonly established: number };
  readonly drops: number;
  /** `logs`: every log that was in use, in order, `-` for standard output; none when SIFTR never was on. */
  readonly siftr: { readonly logs: readonly string[]; readonly lines: number; readonly skipped: number };
  /** The interface was gone before it could be given back. */
  readonly gone: boolean;
  /** What was put back, and what could not be. */
  readonly undone: readonly string[];
  readonly failed: readonly string[];
}

/** Totals of a run as the parts of a summary. */
export function totalsOf(t: Totals): Pick<Summary, 'rx' | 'tx' | 'connections' | 'drops'> {
  return {
    rx: { packets: t.rxPackets, bytes: t.rxBytes },
    tx: { packets: t.txPackets, bytes: t.txBytes },
    connections: { accepted: t.accepted, established: t.connected },
    drops: t.drops,
  };
}

/** The summary as lines for people. */
export function summaryLines(s: Summary): string[] {
  const lines = [
    `${s.iface}: stopped (${s.reason}) after ${formatDuration(s.seconds * 1000)}`,
    `${s.iface}: in ${formatSi(s.rx.packets)} packets ${formatSize(s.rx.bytes)}, out ${formatSi(s.tx.packets)} packets ${formatSize(s.tx.bytes)}, ${s.connections.established} connection${s.connections.established === 1 ? '' : 's'}, ${s.drops} dropped`,
  ];
  if (s.siftr.logs.length > 0)
    lines.push(
      `${s.iface}: SIFTR wrote ${s.siftr.lines} lines to ${logNames(s.siftr.logs)}, skipped ${s.siftr.skipped}`,
    );
  // A Unix link was nobody else's, so there is nobody to give it back to.
  if (s.mode === 'unix' && s.failed.length === 0) return lines;
  const undone = s.undone.length === 0 ? 'nothing was to be undone' : `undone: ${s.undone.join('; ')}`;
  lines.push(
    s.failed.length === 0
      ? `${s.iface}: ${s.gone ? 'gone' : 'given back to the kernel'}, ${undone}`
      : `${s.iface}: could not undo everything: ${s.failed.join('; ')}`,
  );
  return lines;
}

/** The logs for a line of the summary: all, as long as they fit it; of many the last. */
function logNames(paths: readonly string[]): string {
  const names = paths.map((p) => (p === '-' ? 'standard output' : p));
  const last = names.at(-1)!;
  if (names.length === 1) return last;
  if (names.length <= LOGS_SHOWN) return `${names.slice(0, -1).join(', ')} and ${last}`;
  return `${last} and ${names.length - 1} files before it`;
}
