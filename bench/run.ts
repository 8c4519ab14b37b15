import { parseArgs } from 'node:util';
import { labMissing } from '../test/lab/netns.ts';
import { framePairs } from './frames.ts';
import { type Effort, measure, type Outcome, type Pair, table } from './pairs.ts';
import { siftrPairs } from './siftr.ts';
import { siftrRecordPairs } from './siftr-records.ts';
import { tcpPairs } from './tcp.ts';

/**
 * `make bench`, or `node bench/run.ts [a] [b] [c] [d] [--quick]`: ratios beside others on this machine (docs/benchmarks.md).
 *
 *   a   64-byte frames, beside a C program on libxdp
 *   b   TCP, beside Linux to Linux
 *   c   TCP with the SIFTR log of every packet, beside the same without
 *   d   SIFTR's hook, ring and writer in memory (no root needed)
 *
 * --quick: runs of one second, three rounds; for development, not for publication. --match TEXT: only pairs whose name has TEXT.
 */

const FULL: Effort = { seconds: 5, rounds: 5 };
const QUICK: Effort = { seconds: 1, rounds: 3 };

/** A group of pairs on namespaces of its own: sets up, hands its pairs to `each`, removes what it made. */
type Group = (each: (pairs: readonly Pair[]) => Promise<void>) => Promise<void>;
const GROUPS: Readonly<Record<string, Group>> = { a: framePairs, b: tcpPairs, c: siftrPairs, d: siftrRecordPairs };

const usage = 'usage: bench/run.ts [a] [b] [c] [d] [--quick] [--match TEXT]';

function parse(): { groups: string[]; effort: Effort; match: string } {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { quick: { type: 'boolean', default: false }, match: { type: 'string', default: '' } },
    });
    const unknown = positionals.find((word) => GROUPS[word] === undefined);
    if (unknown !== undefined) throw new Error(`no benchmark is called ${unknown}`);
    return {
      groups: positionals.length > 0 ? positionals : Object.keys(GROUPS),
      effort: values.quick ? QUICK : FULL,
      match: values.match,
    };
  } catch (error) {
    console.error(`${(error as Error).message}\n${usage}`);
    process.exit(2);
  }
}

const { groups, effort, match } = parse();
const missing = groups.some((g) => g !== 'd') ? labMissing('iperf3', 'taskset', 'cmake') : '';
if (missing) {
  console.error(`bench: ${missing}`);
  process.exit(1);
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));

const outcomes: Outcome[] = [];
for (const name of groups) {
  await GROUPS[name]!(async (pairs) => {
    for (const pair of pairs) {
      if (pair.name.includes(match)) outcomes.push(await measure(pair, effort, console.log));
    }
  });
}
console.log(`\n${new Date().toISOString().slice(0, 10)}\n`);
for (const line of table(outcomes)) console.log(line);
process.exitCode = outcomes.every((o) => o.failed === '') ? 0 : 1;
