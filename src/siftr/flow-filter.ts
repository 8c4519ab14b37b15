/**
 * `net.inet.siftr.flow_filter` (spec/siftr.md section 14 item 2): the connections that are logged. It lies in the shared settings, as
 * patterns of FLOW_PATTERN_WORDS words each with a version before them (CFG_FLOWS_VERSION).
 */

import { V4_MAPPED } from '../stack/flow.ts';
import { FLOW_PATTERN_WORDS, flowMatches, parseFlowPattern } from '../stack/flow-pattern.ts';
import { CFG_FLOWS, CFG_FLOWS_MAX, CFG_FLOWS_VERSION } from './shared.ts';

/** What a filter may look like, for refusals. */
export const FLOW_FILTER_ALLOWED = `at most ${CFG_FLOWS_MAX} of laddr;lport-faddr;fport with commas between, * for any part, /len behind an address`;

/** The words of a filter; null when the text is none. Empty text is no filter. A comma at the end, as flow_list has it, is taken. */
export function parseFlowFilter(text: string): number[] | null {
  const flows = text.split(',').map((t) => t.trim());
  if (flows.at(-1) === '') flows.pop();
  if (flows.length > CFG_FLOWS_MAX) return null;
  const words: number[] = [];
  for (const flow of flows) {
    const pattern = parseFlowPattern(flow);
    if (pattern === null) return null;
    words.push(...pattern);
  }
  return words;
}

/** Puts a filter into the shared settings; the hooks take it over at their next packet. There is one caller, the main thread. */
export function storeFlowFilter(cfg: Int32Array, words: readonly number[]): void {
  Atomics.add(cfg, CFG_FLOWS_VERSION, 1);
  cfg[CFG_FLOWS] = words.length / FLOW_PATTERN_WORDS;
  cfg.set(words, CFG_FLOWS + 1);
  Atomics.add(cfg, CFG_FLOWS_VERSION, 1);
}

/** A shard's copy of the filter. */
export class FlowFilter {
  readonly #cfg: Int32Array;
  /** The copy, and where the next one is made: it counts when it is whole. */
  #words: Int32Array;
  #spare: Int32Array;
  /** Version that the copy is of; -1 for none. */
  #version: number;
  #count: number;

  constructor(cfg: Int32Array) {
    this.#cfg = cfg;
    this.#words = new Int32Array(CFG_FLOWS_MAX * FLOW_PATTERN_WORDS);
    this.#spare = new Int32Array(CFG_FLOWS_MAX * FLOW_PATTERN_WORDS);
    this.#version = -1;
    this.#count = 0;
  }

  /** Whether some flows are left out. Takes a filter that has changed over; one that is just being changed, at the next packet. */
  get on(): boolean {
    if (this.#cfg[CFG_FLOWS_VERSION] !== this.#version) this.#load();
    return this.#count !== 0;
  }

  #load(): void {
    const cfg = this.#cfg;
    const version = Atomics.load(cfg, CFG_FLOWS_VERSION);
    if ((version & 1) !== 0) return;
    const n = cfg[CFG_FLOWS]!;
    const copy = this.#spare;
    for (let i = 0; i < n * FLOW_PATTERN_WORDS; i++) copy[i] = cfg[CFG_FLOWS + 1 + i]!;
    if (Atomics.load(cfg, CFG_FLOWS_VERSION) !== version) return;
    this.#spare = this.#words;
    this.#words = copy;
    this.#count = n;
    this.#version = version;
  }

  /** A flow of IPv4 that the filter names. Addresses are int32. */
  passesV4(laddr: number, lport: number, faddr: number, fport: number): boolean {
    return this.passes(0, 0, V4_MAPPED, laddr, lport, 0, 0, V4_MAPPED, faddr, fport);
  }

  passes(
    l0: number,
    l1: number,
    l2: number,
    l3: number,
    lport: number,
    f0: number,
    f1: number,
    f2: number,
    f3: number,
    fport: number,
  ): boolean {
    return flowMatches(this.#words, this.#count, l0, l1, l2, l3, lport, f0, f1, f2, f3, fport);
  }
}
