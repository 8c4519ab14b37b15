import { expect } from 'vitest';
import { COUNTER_SLOTS, siftrs } from '../../../src/metrics/layout.ts';
import { SiftrHook } from '../../../src/siftr/hook.ts';
import { PREFIX, writeKnobs } from '../../../src/siftr/knobs.ts';
import { createRing } from '../../../src/siftr/record.ts';
import { createSiftrShared } from '../../../src/siftr/shared.ts';
import { SiftrWriter } from '../../../src/siftr/writer.ts';
import type { Stack } from '../../../src/stack/stack.ts';

/** A data line, the fields that these tests look at. */
export interface Row {
  dir: string;
  us: number;
  lport: number;
  fport: number;
  cwnd: number;
  sndWnd: number;
  state: number;
  flags: number;
  sndHiwat: number;
  sndCc: number;
  inflight: number;
  flowid: string;
}

/** SIFTR on one side, with its writer; lines are kept as text. */
export class Watch {
  readonly st: Stack;
  readonly hook: SiftrHook;
  readonly writer: SiftrWriter;
  readonly cfg: Int32Array;
  text = '';

  /** @param knobs by the last part of their name */
  constructor(side: { readonly st: Stack }, knobs: Readonly<Record<string, number | string>> = {}) {
    this.st = side.st;
    const ring = createRing(16384);
    this.cfg = createSiftrShared();
    writeKnobs(this.cfg, new Map(Object.entries(knobs).map(([leaf, value]) => [PREFIX + leaf, value])));
    this.hook = new SiftrHook(side.st, ring, this.cfg);
    this.writer = new SiftrWriter([ring], this.cfg, new Float64Array(COUNTER_SLOTS));
    this.begin();
    this.hook.hook(side.st.clock.wallUs());
  }

  /** A cycle of the writer begins; lines go on in `text`. */
  begin(): void {
    const write = (buf: Uint8Array, off: number, len: number): number => {
      this.text += new TextDecoder().decode(buf.slice(off, off + len));
      return len;
    };
    this.writer.begin({ write }, Infinity);
  }

  get rows(): Row[] {
    this.hook.publish();
    this.writer.pass();
    return this.text
      .split('\n')
      .slice(0, -1)
      .map((line) => {
        const f = line.split(',');
        expect(f).toHaveLength(27);
        const n = (field: number): number => Number(f[field - 1]!);
        return {
          dir: f[0]!,
          us: Number(f[1]!.replace('.', '')),
          lport: n(4),
          fport: n(6),
          cwnd: n(8),
          sndWnd: n(10),
          state: n(14),
          flags: n(18),
          sndHiwat: n(20),
          sndCc: n(21),
          inflight: n(24),
          flowid: f[25]!,
        };
      });
  }

  /** Direction and state of each line. */
  get steps(): string[] {
    return this.rows.map((r) => `${r.dir} ${r.state}`);
  }

  /** SIFTR counters that are not 0; histograms are none. */
  get counted(): Record<string, number> {
    const { cnt } = this.st;
    return Object.fromEntries(
      Object.entries(siftrs).flatMap(([name, slot]) =>
        cnt[slot] && !/age$/.test(name) ? [[name.replace('siftrs_', ''), cnt[slot]]] : [],
      ),
    );
  }

  /** Packets seen less those skipped: what the file must have (spec/siftr.md section 7). */
  get expected(): number {
    const c = this.counted;
    const skipped = ['in_malloc', 'out_malloc', 'in_tcpcb', 'out_tcpcb', 'in_inpcb', 'out_inpcb'];
    return skipped.reduce((n, k) => n - (c[`nskip_${k}`] ?? 0), (c['n_in'] ?? 0) + (c['n_out'] ?? 0));
  }
}
