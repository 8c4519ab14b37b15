import { readFile } from 'node:fs/promises';
import { FlowMap, parseFlow } from './flows.ts';

/** What `FILE.meta.json` says of a cycle of the log FILE. Null where it does not say. */
export interface CycleMeta {
  /** `s.µs`, as the enable line has it. */
  readonly enable_time: string | null;
  readonly version: string | null;
  readonly commit: string | null;
  readonly congestion_control: string | null;
  /** Of a simulation. */
  readonly seed: number | null;
  /** Records that ppl kept out, and that were lost on the way to the disk. */
  readonly counts: { readonly suppressed: number; readonly lost: number } | null;
}

/** Reads what stands beside a log. Nothing where there is no such file, or something else in it: it is no part of the log. */
export async function readMeta(log: string): Promise<readonly CycleMeta[]> {
  try {
    const file = record(JSON.parse(await beside(log, '.meta.json')));
    return Array.isArray(file.cycles) ? file.cycles.map(cycle) : [];
  } catch {
    return [];
  }
}

/** Flows in `FILE.flows`, where xsiftr writes what `flow_list` of the log FILE has no room for (`net.inet.siftr.flow_list_max_bytes`). */
export async function readFlowsFile(log: string): Promise<FlowMap<true>> {
  const flows = new FlowMap<true>();
  for (const line of (await beside(log, '.flows')).split('\n')) {
    const flow = parseFlow(line);
    if (flow !== null) flows.put(flow, true);
  }
  return flows;
}

/** The text beside a log; of one that was compressed since, `FILE.gz`, that of FILE. Empty where there is none. */
async function beside(log: string, end: string): Promise<string> {
  if (log === '-') return '';
  for (const file of new Set([log, log.replace(/\.(?:gz|xz|zst)$/, '')])) {
    const text = await readFile(`${file}${end}`, 'utf8').catch(() => null);
    if (text !== null) return text;
  }
  return '';
}

function cycle(value: unknown): CycleMeta {
  const c = record(value);
  const program = record(c.program);
  const counts = record(c.counts);
  const { suppressed, lost } = counts;
  return {
    enable_time: text(c.enable_time),
    version: text(program.version),
    commit: text(program.commit),
    congestion_control: text(c.congestion_control),
    seed: typeof c.seed === 'number' ? c.seed : null,
    counts: typeof suppressed === 'number' ? { suppressed, lost: typeof lost === 'number' ? lost : 0 } : null,
  };
}

/** The members of an object; none of anything else. */
function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function text(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
