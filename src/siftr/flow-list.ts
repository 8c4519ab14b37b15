import { V4_MAPPED } from '../stack/flow.ts';
import { inetNtoa } from '../stack/net/in-addr.ts';
import { inetNtop } from '../stack/net/in6-addr.ts';
import type { Flow } from './flow-table.ts';
import { TupleStore } from './tuple-store.ts';

const V4_WORDS = 3;
const V6_WORDS = 9;
/** Default of `net.inet.siftr.flow_max`. */
export const FLOW_MAX_DEFAULT = 1048576;

/**
 * The flows of one enable/disable cycle for `flow_list`, connections long gone included (spec/siftr.md section 14 item 4): addresses and ports
 * packed in 12 bytes, of IPv6 in 36, each tuple once. Beyond `max` flows those that were closed first leave it; while none is closed a new one does
 * not come in.
 */
export class FlowList {
  /** Most flows. */
  max: number;
  /** Flows that are not in the list for want of room, since the start. */
  dropped: number;
  readonly #v4: TupleStore;
  readonly #v6: TupleStore;
  readonly #key: Int32Array;
  #serial: number;

  constructor() {
    this.max = FLOW_MAX_DEFAULT;
    this.dropped = 0;
    this.#v4 = new TupleStore(V4_WORDS);
    this.#v6 = new TupleStore(V6_WORDS);
    this.#key = new Int32Array(V6_WORDS);
    this.#serial = 0;
  }

  get size(): number {
    return this.#v4.size + this.#v6.size;
  }

  /** A connection was seen for the first time. */
  open(flow: Flow): void {
    const store = this.#keyOf(flow);
    const at = store.find(this.#key);
    if (at >= 0) {
      store.reopen(at);
      return;
    }
    while (this.size >= this.max) {
      this.dropped++;
      if (!this.#v4.removeOldest() && !this.#v6.removeOldest()) return;
    }
    store.insert(this.#key, this.#serial++, flow.flowid & 0xffff);
  }

  /** A connection is gone. */
  close(flow: Flow): void {
    const store = this.#keyOf(flow);
    const at = store.find(this.#key);
    if (at >= 0) store.close(at);
  }

  clear(): void {
    this.#v4.clear();
    this.#v6.clear();
    this.#serial = 0;
  }

  /** Entries as `flow_list` spells them, in its order: ascending `flowid & 0xffff`, newest first where that is the same (section 9). */
  entries(): string[] {
    // A million entries are sorted as numbers, and not as objects.
    const order = new Float64Array(this.size);
    const texts: string[] = [];
    const add = (tag: number, serial: number, text: string): void => {
      order[texts.length] = tag * 0x1_0000_0000 + (0xffff_ffff - serial);
      texts.push(text);
    };
    this.#v4.forEach((k, at, serial, tag) => {
      const ports = k[at + 2]!;
      add(tag, serial, entry(inetNtoa(k[at]!), ports >>> 16, inetNtoa(k[at + 1]!), ports & 0xffff));
    });
    this.#v6.forEach((k, at, serial, tag) => {
      const ports = k[at + 8]!;
      const laddr = inetNtop(k[at]!, k[at + 1]!, k[at + 2]!, k[at + 3]!);
      const faddr = inetNtop(k[at + 4]!, k[at + 5]!, k[at + 6]!, k[at + 7]!);
      add(tag, serial, entry(laddr, ports >>> 16, faddr, ports & 0xffff));
    });
    const sorted = Uint32Array.from(texts.keys()).sort((a, b) => order[a]! - order[b]!);
    return Array.from(sorted, (i) => texts[i]!);
  }

  /** Packs a flow's addresses and ports into `#key`; gives the store that they belong to. */
  #keyOf(flow: Flow): TupleStore {
    const k = this.#key;
    if (flow.f0 === 0 && flow.f1 === 0 && flow.f2 === V4_MAPPED && flow.l2 === V4_MAPPED) {
      k[0] = flow.l3;
      k[1] = flow.f3;
      k[2] = flow.ports;
      return this.#v4;
    }
    k[0] = flow.l0;
    k[1] = flow.l1;
    k[2] = flow.l2;
    k[3] = flow.l3;
    k[4] = flow.f0;
    k[5] = flow.f1;
    k[6] = flow.f2;
    k[7] = flow.f3;
    k[8] = flow.ports;
    return this.#v6;
  }
}

function entry(laddr: string, lport: number, faddr: string, fport: number): string {
  return `${laddr};${lport}-${faddr};${fport}`;
}
