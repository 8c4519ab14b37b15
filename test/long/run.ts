/**
 * Experiments over many seeds, which `make test` has no time for: in as many processes as there are processors, within a given time. A case that
 * fails is printed with the command that runs it again.
 *
 *   node test/long/run.ts [SWEEP…] [--first N] [--count N] [--jobs N] [--minutes N]
 */
import { type ChildProcess, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Outcome, replayOf, SWEEPS, type Sweep, type Task, taskName } from './sweeps.ts';

const CHILD = join(import.meta.dirname, 'child.ts');
/** A task that takes longer hangs. */
const TASK_MS = 600_000;
const PROGRESS_MS = 60_000;

const names = Object.keys(SWEEPS);

function refuse(what: string): never {
  const helps = names.map((n) => `  ${n.padEnd(9)} ${SWEEPS[n]!.help} (${SWEEPS[n]!.count} seeds)`);
  process.stderr.write(
    `${what}\nusage: node test/long/run.ts [SWEEP…] [--first N] [--count N] [--jobs N] [--minutes N]\n${helps.join('\n')}\n`,
  );
  process.exit(2);
}

function whole(name: string, text: string | undefined, fallback: number, max: number): number {
  if (text === undefined || text === '') return fallback;
  const n = /^\d+$/.test(text) ? Number(text) : 0;
  if (n < 1 || n > max) refuse(`--${name} ${text}: a whole number from 1 to ${max}`);
  return n;
}

const text = { type: 'string' } as const;
let given: ReturnType<typeof parse>;
function parse() {
  return parseArgs({ allowPositionals: true, options: { first: text, count: text, jobs: text, minutes: text } });
}
try {
  given = parse();
} catch (err) {
  refuse((err as Error).message);
}
const chosen = given.positionals.filter((n) => n !== '');
for (const n of chosen) if (!names.includes(n)) refuse(`${n}: no such sweep`);
const first = whole('first', given.values.first, 1, 2 ** 30);
const count = whole('count', given.values.count, 0, 1_000_000);
const jobs = whole('jobs', given.values.jobs, availableParallelism(), 64);
const minutes = whole('minutes', given.values.minutes, 60, 10_000);

const wanted = chosen.length > 0 ? chosen : names;
const until = Date.now() + minutes * 60_000;
let failed = false;

function tasksOf(name: string, sweep: Sweep): Task[] {
  const seeds = count > 0 ? count : sweep.count;
  // All parts of a seed together: where time runs out, every part has as many.
  return Array.from({ length: seeds * sweep.parts }, (_, i) => ({
    sweep: name,
    seed: first + Math.floor(i / sweep.parts),
    part: i % sweep.parts,
  }));
}

function fail(task: Task, why: string): void {
  failed = true;
  process.stdout.write(`FAILED ${task.sweep}, ${taskName(task)}: ${why}\n  replay: ${replayOf(task)}\n`);
}

/** One process after the other does tasks until none is left. */
async function work(queue: Task[], done: Outcome[]): Promise<void> {
  let child: ChildProcess | null = null;
  try {
    for (let task = next(queue); task !== undefined; task = next(queue)) {
      child ??= fork(CHILD);
      const outcome = await once(child, task);
      if (outcome === null) {
        fail(task, `no end within ${TASK_MS / 1000} s, or its process died`);
        child.kill('SIGKILL');
        child = null;
        continue;
      }
      if (outcome.fault !== null) fail(task, outcome.fault);
      done.push(outcome);
    }
  } finally {
    child?.kill();
  }
}

function next(queue: Task[]): Task | undefined {
  return Date.now() < until ? queue.shift() : undefined;
}

function once(child: ChildProcess, task: Task): Promise<Outcome | null> {
  return new Promise((resolve) => {
    const settle = (outcome: Outcome | null) => {
      clearTimeout(timer);
      child.removeAllListeners();
      resolve(outcome);
    };
    const timer = setTimeout(() => settle(null), TASK_MS);
    child.on('message', (outcome) => settle(outcome as Outcome));
    child.on('exit', () => settle(null));
    child.send(task);
  });
}

for (const name of wanted) {
  const sweep = SWEEPS[name]!;
  const queue = tasksOf(name, sweep);
  const total = queue.length;
  const done: Outcome[] = [];
  const started = Date.now();
  const progress = setInterval(() => {
    process.stdout.write(`${name}: ${done.length} of ${total}, ${Math.round((Date.now() - started) / 1000)} s\n`);
  }, PROGRESS_MS);
  await Promise.all(Array.from({ length: Math.min(jobs, total) }, () => work(queue, done)));
  clearInterval(progress);
  if (queue.length > 0) {
    process.stdout.write(`${name}: the time of ${minutes} min is over, ${queue.length} of ${total} not run\n`);
  }
  const whole = done.filter((o) => o.fault === null);
  const values = Array.from({ length: sweep.parts }, (_, part) =>
    whole
      .filter((o) => o.task.part === part)
      .sort((a, b) => a.task.seed - b.task.seed)
      .map((o) => o.value),
  );
  if (values.every((v) => v.length > 0)) {
    const { text: table, faults } = sweep.judge(values);
    process.stdout.write(`${table}\n`);
    // Medians of a few seeds say nothing.
    const few = total < sweep.count * sweep.parts;
    for (const f of faults) process.stdout.write(`${few ? 'of these seeds' : 'FAILED'} ${name}: ${f}\n`);
    if (!few && faults.length > 0) failed = true;
  }
  const seconds = ((Date.now() - started) / 1000).toFixed(0);
  process.stdout.write(
    `${name}: ${done.length - whole.length} of ${done.length} failed, seeds from ${first}, ${seconds} s\n`,
  );
}
process.exitCode = failed ? 1 : 0;
