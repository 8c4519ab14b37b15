import { formatRate } from '../impair/units.ts';
import { parseCommand } from './command.ts';
import type { PipeSpec } from './config.ts';
import type { DummynetReport, PipeReport } from './dummynet.ts';
import { DnctlError } from './error.ts';
import type { PipeOption } from './pipe-option.ts';
import { RULE_MAX, type RuleSpec } from './rule.ts';
import { renderPipes, renderRules } from './show.ts';

/** Numbers of rules go up by this much where nobody chooses one (net.inet.ip.fw.autoinc_step). */
const RULE_STEP = 100;

/** Pipes and rules, as a shard starts with them. */
export interface DummynetState {
  readonly pipes: readonly { readonly number: number; readonly spec: PipeSpec }[];
  readonly rules: readonly RuleSpec[];
}

/** What a shard is told. */
export type DummynetChange =
  | { readonly kind: 'pipe'; readonly number: number; readonly spec: PipeSpec }
  | { readonly kind: 'rules'; readonly rules: readonly RuleSpec[] }
  /** Rules of the pipe go too. */
  | { readonly kind: 'delete'; readonly number: number }
  | { readonly kind: 'flush' };

/** The shards, as the control reaches them. */
export interface DummynetShards {
  readonly count: number;
  /** Tells every shard. */
  apply(change: DummynetChange): Promise<void>;
  /** Asks every shard, in the order of their numbers. */
  reports(): Promise<DummynetReport[]>;
}

/** What a command prints: on standard output, and what somebody ought to know beside it. */
export interface DnctlReply {
  readonly text: string;
  readonly notes: readonly string[];
}

const NO_PIPE: Omit<PipeReport, 'number'> = { packets: 0, bytes: 0, queuePackets: 0, queueBytes: 0, drops: 0 };

/** The pipes and rules of a process: what they are is kept here, and every shard has its own. */
export class DummynetControl {
  readonly #pipes: Map<number, PipeSpec>;
  /** In the order of their numbers. */
  #rules: readonly RuleSpec[];
  #shards: DummynetShards | null;
  /** Commands are carried out one after the other. */
  #last: Promise<unknown>;

  /** @param options the values of `--pipe`, which become pipes 1, 2, … and rules 100, 200, … */
  constructor(options: readonly PipeOption[] = []) {
    this.#pipes = new Map(options.map((o, i) => [i + 1, o.spec]));
    this.#rules = options.map((o, i) => ({ ...o.rule, number: (i + 1) * RULE_STEP, pipe: i + 1 }));
    this.#shards = null;
    this.#last = Promise.resolve();
  }

  /** What a shard is to start with. */
  get state(): DummynetState {
    return {
      pipes: [...this.#pipes].map(([number, spec]) => ({ number, spec })),
      rules: this.#rules,
    };
  }

  /** From now on changes go to these shards. */
  connect(shards: DummynetShards): void {
    this.#shards = shards;
  }

  /** What somebody ought to know about pipes as they are, with so many queues. */
  notes(shards: number): string[] {
    return [...this.#pipes].flatMap(([number, spec]) => rateNote(number, spec, shards));
  }

  /**
   * Carries a command out.
   * @param quiet nothing to say, also where what is to be deleted does not exist
   * @throws DnctlError for wrong words and unknown numbers; what a shard's failure throws
   */
  run(words: readonly string[], quiet: boolean, readFile: (name: string) => string): Promise<DnctlReply> {
    const done = this.#last.then(() => this.#run(words, quiet, readFile));
    this.#last = done.catch(() => {});
    return done;
  }

  async #run(words: readonly string[], quiet: boolean, readFile: (name: string) => string): Promise<DnctlReply> {
    const shards = this.#shards;
    if (shards === null) throw new DnctlError('the interface is being set up; try again', 1);
    const c = parseCommand(words, readFile);
    const say = (text: string, notes: readonly string[] = []): DnctlReply =>
      quiet ? { text: '', notes: [] } : { text, notes };
    switch (c.op) {
      case 'config':
        await shards.apply({ kind: 'pipe', number: c.number, spec: c.spec });
        this.#pipes.set(c.number, c.spec);
        return say('', rateNote(c.number, c.spec, shards.count));
      case 'show':
        return { text: await this.#show(c.numbers, shards), notes: [] };
      case 'delete': {
        const known = c.numbers.filter((n) => this.#pipes.has(n));
        if (!quiet) for (const n of c.numbers) this.#pipe(n);
        for (const number of known) {
          await shards.apply({ kind: 'delete', number });
          this.#pipes.delete(number);
          this.#rules = this.#rules.filter((r) => r.pipe !== number);
        }
        return say('');
      }
      case 'flush':
        await shards.apply({ kind: 'flush' });
        this.#pipes.clear();
        this.#rules = [];
        return say('Flushed all pipes.\n');
      case 'addRule': {
        this.#pipe(c.rule.pipe);
        const rule = { ...c.rule, number: c.rule.number === 0 ? this.#nextRule() : c.rule.number };
        if (this.#rules.some((r) => r.number === rule.number)) {
          throw new DnctlError(
            `rule ${rule.number}: there is one of that number; delete it first, or leave the number out`,
          );
        }
        await this.#setRules(
          [...this.#rules, rule].sort((a, b) => a.number - b.number),
          shards,
        );
        return say(renderRules([rule], null));
      }
      case 'showRules': {
        const rules = c.numbers.length === 0 ? this.#rules : c.numbers.map((n) => this.#rule(n));
        return { text: renderRules(rules, c.counts ? await shards.reports() : null), notes: [] };
      }
      case 'deleteRules':
        if (!quiet) for (const n of c.numbers) this.#rule(n);
        await this.#setRules(
          this.#rules.filter((r) => !c.numbers.includes(r.number)),
          shards,
        );
        return say('');
      case 'flushRules':
        await this.#setRules([], shards);
        return say('Flushed all rules.\n');
    }
  }

  async #show(numbers: readonly number[], shards: DummynetShards): Promise<string> {
    const chosen = numbers.length === 0 ? [...this.#pipes.keys()].sort((a, b) => a - b) : numbers;
    const pipes = chosen.map((n) => ({ number: n, spec: this.#pipe(n) }));
    const reports = await shards.reports();
    return renderPipes(
      pipes.map(({ number, spec }) => ({
        number,
        spec,
        reports: reports.map((r) => r.pipes.find((p) => p.number === number) ?? { number, ...NO_PIPE }),
      })),
    );
  }

  async #setRules(rules: readonly RuleSpec[], shards: DummynetShards): Promise<void> {
    await shards.apply({ kind: 'rules', rules });
    this.#rules = rules;
  }

  #pipe(number: number): PipeSpec {
    const spec = this.#pipes.get(number);
    if (spec !== undefined) return spec;
    const known = [...this.#pipes.keys()].sort((a, b) => a - b);
    throw new DnctlError(
      `pipe ${number}: there is none; ${known.length === 0 ? 'no pipe is configured' : `configured are ${known.join(', ')}`}`,
    );
  }

  #rule(number: number): RuleSpec {
    const rule = this.#rules.find((r) => r.number === number);
    if (rule !== undefined) return rule;
    const known = this.#rules.map((r) => r.number);
    throw new DnctlError(
      `rule ${number}: there is none; ${known.length === 0 ? 'no rule is there' : `there are ${known.join(', ')}`}`,
    );
  }

  #nextRule(): number {
    const last = this.#rules.at(-1)?.number ?? 0;
    const next = (Math.floor(last / RULE_STEP) + 1) * RULE_STEP;
    if (next > RULE_MAX) throw new DnctlError(`rule add: no number is left behind ${last}; choose one`);
    return next;
  }
}

/** Each queue has a link of its own: together they are faster than one. */
function rateNote(number: number, spec: PipeSpec, shards: number): string[] {
  const { rate } = spec.config;
  if (shards < 2 || (rate === 0 && spec.trace === null)) return [];
  const each = spec.trace === null ? formatRate(rate) : `trace ${spec.traceName}`;
  return [
    `pipe ${number}: each of the ${shards} queues has its own of ${each}; for one bottleneck of all flows start with --queues 1`,
  ];
}
