/**
 * `net.inet.siftr.flow_filter` (spec/siftr.md section 14 item 2): the connections that are logged, spelt as in `flow_list`.
 *
 * It lies in the shared settings, a version before it (CFG_FLOWS_VERSION). Each flow has 18 words:
 *
 *   local address | its mask | foreign address | its mask | local port | foreign port     (4 + 4 + 4 + 4 + 1 + 1)
 *
 * A port of -1 is any. Addresses are mapped as everywhere; any address is a mask of zeros.
 */
import { parseAddress } from './address.ts';
import { CFG_FLOW_WORDS, CFG_FLOWS, CFG_FLOWS_MAX, CFG_FLOWS_VERSION } from './shared.ts';

const LADDR = 0;
const FADDR = 8;
const LPORT = 16;
const FPORT = 17;
const ANY_PORT = -1;

/** What a filter may look like, for refusals. */
export const FLOW_FILTER_ALLOWED = `at most ${CFG_FLOWS_MAX} of laddr;lport-faddr;fport with commas between, * for any part, /len behind an address`;

/** The words of a filter; null when the text is none. Empty text is no filter. A comma at the end, as flow_list has it, is taken. */
export function parseFlowFilter(text: string): number[] | null {
  const flows = text.split(',').map((t) => t.trim());
  if (flows.at(-1) === '') flows.pop();
  if (flows.length > CFG_FLOWS_MAX) return null;
  const words: number[] = [];
  for (const flow of flows) {
    const m = /^([^;-]+);([^;-]+)-([^;-]+);([^;-]+)$/.exec(flow);
    if (m === null) return null;
    const local = network(m[1]!);
    const foreign = network(m[3]!);
    const lport = port(m[2]!);
    const fport = port(m[4]!);
    if (local === null || foreign === null || lport === null || fport === null) return null;
    words.push(...local, ...foreign, lport, fport);
  }
  return words;
}

/** Address and mask of `*`, `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32`. */
function network(text: string): number[] | null {
  if (text === '*') return new Array<number>(8).fill(0);
  const [addr = '', len, more] = text.split('/');
  const words = parseAddress(addr);
  if (words === null || more !== undefined) return null;
  const bits = addr.includes(':') ? 128 : 32;
  if (len !== undefined && !/^(0|[1-9]\d{0,2})$/.test(len)) return null;
  const n = len === undefined ? bits : Number(len);
  if (n > bits) return null;
  const mask = [0, 1, 2, 3].map((i) => prefixWord(128 - bits + n - 32 * i));
  return [...words.map((w, i) => w & mask[i]!), ...mask];
}

/** The mask of a word whose first `n` bits count; below 0 none, beyond 32 all. */
function prefixWord(n: number): number {
  return n <= 0 ? 0 : n >= 32 ? -1 : -1 << (32 - n);
}

function port(text: string): number | null {
  if (text === '*') return ANY_PORT;
  return /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 0xffff ? Number(text) : null;
}

/** Puts a filter into the shared settings; the hooks take it over at their next packet. There is one caller, the main thread. */
export function storeFlowFilter(cfg: Int32Array, words: readonly number[]): void {
  Atomics.add(cfg, CFG_FLOWS_VERSION, 1);
  cfg[CFG_FLOWS] = words.length / CFG_FLOW_WORDS;
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
    this.#words = new Int32Array(CFG_FLOWS_MAX * CFG_FLOW_WORDS);
    this.#spare = new Int32Array(CFG_FLOWS_MAX * CFG_FLOW_WORDS);
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
    for (let i = 0; i < n * CFG_FLOW_WORDS; i++) copy[i] = cfg[CFG_FLOWS + 1 + i]!;
    if (Atomics.load(cfg, CFG_FLOWS_VERSION) !== version) return;
    this.#spare = this.#words;
    this.#words = copy;
    this.#count = n;
    this.#version = version;
  }

  /** A flow of IPv4 that the filter names. Addresses are int32. */
  passesV4(laddr: number, lport: number, faddr: number, fport: number): boolean {
    return this.passes(0, 0, 0xffff, laddr, lport, 0, 0, 0xffff, faddr, fport);
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
    const w = this.#words;
    for (let i = 0, r = 0; i < this.#count; i++, r += CFG_FLOW_WORDS) {
      const lp = w[r + LPORT]!;
      const fp = w[r + FPORT]!;
      if ((lp === lport || lp === ANY_PORT) && (fp === fport || fp === ANY_PORT)) {
        if (inNetwork(w, r + LADDR, l0, l1, l2, l3) && inNetwork(w, r + FADDR, f0, f1, f2, f3)) return true;
      }
    }
    return false;
  }
}

function inNetwork(w: Int32Array, r: number, a0: number, a1: number, a2: number, a3: number): boolean {
  return (
    (((a3 ^ w[r + 3]!) & w[r + 7]!) |
      ((a2 ^ w[r + 2]!) & w[r + 6]!) |
      ((a1 ^ w[r + 1]!) & w[r + 5]!) |
      ((a0 ^ w[r]!) & w[r + 4]!)) ===
    0
  );
}
