import { BlockList, isIP } from 'node:net';
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

const ALLOWED = 'allowed is laddr;lport-faddr;fport, as 192.0.2.1;*-198.51.100.0/24;80, * for any part';
const FORM = /^([^;]+);([^;]+)-([^;]+);([^;]+)$/;

type Test = (t: Tuple) => boolean;

/**
 * A choice of connections. A connection is chosen when one of the patterns fits it.
 * @param patterns `laddr;lport-faddr;fport` with `*` for any part, and `/LENGTH` behind an address; no pattern chooses all
 * @throws LogError for anything else
 */
export function flowFilter(patterns: readonly string[]): Test {
  if (patterns.length === 0) return () => true;
  const tests = patterns.map(flowTest);
  const known = new FlowMap<boolean>();
  return (t) => {
    let chosen = known.get(t);
    if (chosen === undefined) {
      chosen = tests.some((test) => test(t));
      known.add(t, chosen);
    }
    return chosen;
  };
}

function flowTest(pattern: string): Test {
  const m = FORM.exec(pattern);
  if (m === null) throw new LogError(`flow ${pattern}: ${ALLOWED}`);
  const [laddr, faddr] = [addressTest(m[1]!, pattern), addressTest(m[3]!, pattern)];
  const [lport, fport] = [portTest(m[2]!, pattern), portTest(m[4]!, pattern)];
  return (t) => laddr(t.laddr) && faddr(t.faddr) && lport(t.lport) && fport(t.fport);
}

function addressTest(text: string, pattern: string): (addr: string) => boolean {
  if (text === '*') return () => true;
  // No log has a zone in an address (spec/siftr.md section 4).
  const [, addr = '', length] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const version = isIP(addr);
  const most = version === 4 ? 32 : 128;
  const bits = Number(length ?? most);
  if (version === 0 || bits > most) throw new LogError(`flow ${pattern}: ${ALLOWED}`);
  const list = new BlockList();
  list.addSubnet(addr, bits, version === 4 ? 'ipv4' : 'ipv6');
  return (a) => isIP(a) === version && list.check(a, version === 4 ? 'ipv4' : 'ipv6');
}

function portTest(text: string, pattern: string): (port: number) => boolean {
  if (text === '*') return () => true;
  if (!/^\d{1,5}$/.test(text) || Number(text) > 0xffff) throw new LogError(`flow ${pattern}: ${ALLOWED}`);
  const port = Number(text);
  return (p) => p === port;
}
