import { FLOW_PATTERN_ALLOWED, flowMatches, parseFlowPattern } from '../stack/flow-pattern.ts';
import { inetPton } from '../stack/net/in6-addr.ts';
import { LogError } from './error.ts';
import type { Tuple } from './model.ts';

/** A tuple as a disable line spells it: `laddr;lport-faddr;fport`. */
export function flowText(t: Tuple): string {
  return `${t.laddr};${t.lport}-${t.faddr};${t.fport}`;
}

const ENTRY = /^([^;]+);(\d{1,5})-([^;]+);(\d{1,5})$/;

/** Reads what `flowText` writes; null for anything else. */
export function parseFlow(text: string): Tuple | null {
  const m = ENTRY.exec(text);
  return m === null ? null : { laddr: m[1]!, lport: Number(m[2]), faddr: m[3]!, fport: Number(m[4]) };
}

interface Entry<T> {
  readonly laddr: string;
  readonly faddr: string;
  readonly value: T;
}

/** Values by connection, without a text made for each look-up: samples come by the million. */
export class FlowMap<T> {
  /** By both ports. */
  readonly #entries = new Map<number, Entry<T>[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(t: Tuple): T | undefined {
    const list = this.#entries.get(t.lport * 65536 + t.fport);
    if (list === undefined) return undefined;
    for (const e of list) if (e.laddr === t.laddr && e.faddr === t.faddr) return e.value;
    return undefined;
  }

  /** Adds the value of a connection, unless it has one. */
  put(t: Tuple, value: T): void {
    if (this.get(t) === undefined) this.add(t, value);
  }

  /** Adds the value of a connection that has none. */
  add(t: Tuple, value: T): void {
    const key = t.lport * 65536 + t.fport;
    const entry = { laddr: t.laddr, faddr: t.faddr, value };
    const list = this.#entries.get(key);
    if (list === undefined) this.#entries.set(key, [entry]);
    else list.push(entry);
    this.#size++;
  }
}

type Test = (t: Tuple) => boolean;

/**
 * A choice of connections. A connection is chosen when one of the patterns fits it.
 * @param patterns `laddr;lport-faddr;fport` with `*` for any part, and `/LENGTH` behind an address; no pattern chooses all
 * @throws LogError for anything else
 */
export function flowFilter(patterns: readonly string[]): Test {
  if (patterns.length === 0) return () => true;
  const words = patterns.flatMap((pattern) => {
    const parsed = parseFlowPattern(pattern);
    if (parsed === null) throw new LogError(`flow ${pattern}: allowed is ${FLOW_PATTERN_ALLOWED}`);
    return parsed;
  });
  const known = new FlowMap<boolean>();
  return (t) => {
    let chosen = known.get(t);
    if (chosen === undefined) {
      chosen = flowMatches(words, patterns.length, ...wordsOf(t.laddr), t.lport, ...wordsOf(t.faddr), t.fport);
      known.add(t, chosen);
    }
    return chosen;
  };
}

/** The words of an address. What is none, as a damaged log may have it, is as `::`, which `*` fits and no connection has. */
function wordsOf(addr: string): [number, number, number, number] {
  return inetPton(addr) ?? [0, 0, 0, 0];
}
