import { statSync } from 'node:fs';
import type { SimNode } from '../driver/sim/node.ts';
import { COUNTER_SLOTS } from '../metrics/layout.ts';
import { cycleCounts, disableLine, enableLine, siftrIdent } from '../siftr/format.ts';
import { SiftrHook } from '../siftr/hook.ts';
import { writeKnobs } from '../siftr/knobs.ts';
import { metaBegin, metaCounts, metaEnd, metaTime, type RunMeta } from '../siftr/meta.ts';
import { identOf } from '../siftr/modes.ts';
import { createRing, QLEN_DEFAULT, RecordConsumer } from '../siftr/record.ts';
import { createSiftrShared } from '../siftr/shared.ts';
import { SiftrWriter } from '../siftr/writer.ts';
import { VERSION } from '../version.ts';
import { OutputFile, STDOUT } from './output.ts';

/** Records in a ring when there are many hosts. */
const QLEN_MANY = 8192;
const MANY = 8;

/**
 * A SIFTR log of some hosts of a simulation: SIFTR's own hook in each, and its own writer, called when a ring fills up. Nothing is ever skipped for
 * want of room, as the writer comes between two passes of a host.
 */
export class SimSiftrLog {
  readonly #out: OutputFile;
  readonly #nodes: readonly SimNode[];
  readonly #hooks: readonly SiftrHook[];
  readonly #writer: SiftrWriter;
  readonly #cfg: Int32Array;
  readonly #path: string;
  /** A plain file, so there is a description beside it. */
  readonly #described: boolean;
  /** Why the description could not be written; null while it could. */
  warning: string | null;

  /**
   * Writes the enable line and hooks.
   * @param knobs those that were set, by name
   * @param meta  how the packets are made, for the description beside the log
   * @throws SimError when the file cannot be written
   */
  constructor(path: string, nodes: readonly SimNode[], knobs: ReadonlyMap<string, number | string>, meta: RunMeta) {
    this.#out = new OutputFile('--siftr-log', path);
    this.#path = path;
    this.#described = path !== STDOUT && statSync(path).isFile();
    this.warning = null;
    this.#describe(() => metaBegin(path, true, 0, meta));
    this.#nodes = nodes;
    this.#cfg = createSiftrShared();
    writeKnobs(this.#cfg, knobs);
    const records = nodes.length > MANY ? QLEN_MANY : QLEN_DEFAULT;
    const rings = nodes.map(() => createRing(records));
    this.#writer = new SiftrWriter(rings, this.#cfg, new Float64Array(COUNTER_SLOTS));
    this.#text(enableLine(0, identOf(siftrIdent(VERSION), this.#cfg)));
    this.#writer.begin(this.#out, Number.POSITIVE_INFINITY);
    this.#hooks = nodes.map((node, i) => {
      const hook = new SiftrHook(node.st, rings[i]!, this.#cfg);
      const fill = new RecordConsumer(rings[i]!);
      const head = fill.refresh();
      let taken = head;
      hook.hook(0);
      node.onPass = () => {
        hook.publish();
        if (((fill.refresh() - taken) | 0) < records >> 3) return;
        this.#writer.pass();
        this.#check();
        taken = fill.refresh();
      };
      return hook;
    });
  }

  /** Unhooks, writes what is left and the disable line. Throws SimError. @param nowUs virtual time */
  close(nowUs: number): void {
    for (const h of this.#hooks) h.unhook();
    const end = this.#writer.end(() => true);
    this.#check();
    const counts = cycleCounts(this.#nodes.map((node) => node.st.cnt));
    this.#text(disableLine(nowUs, counts, end.flowList));
    this.#out.close();
    const ended = { disable_time: metaTime(nowUs), counts: metaCounts(counts, end) };
    this.#describe(() => metaEnd(this.#path, 0, ended));
  }

  /** What cannot be written ends the run: on a card packets come all the same, here nothing is lost by it. Throws SimError. */
  #check(): void {
    if (this.#writer.error !== null) throw this.#writer.error;
  }

  #describe(work: () => void): void {
    if (!this.#described || this.warning !== null) return;
    try {
      work();
    } catch (err) {
      this.warning = `--siftr-log ${this.#path}: its description ${this.#path}.meta.json cannot be written: ${(err as Error).message}`;
    }
  }

  #text(text: string): void {
    const bytes = Buffer.from(text, 'latin1');
    for (let done = 0; done < bytes.length; ) done += this.#out.write(bytes, done, bytes.length - done);
  }
}
