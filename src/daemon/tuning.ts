import type { SiftrControl } from '../siftr/control.ts';
import { SIFTR_DECLS } from '../siftr/knobs.ts';
import {
  checkWritable,
  findSysctl,
  getTunable,
  parseSysctl,
  type SysctlAssignment,
  type SysctlDecl,
  SysctlError,
  setTunable,
  Tunables,
} from '../stack/sysctl.ts';
import { HC_LIST_HEAD } from '../stack/sysctl-tcp-path.ts';
import { ccNames } from '../stack/tcp/cc/registry.ts';
import { type SysctlChange, type SysctlRow, sysctlRows } from '../views/sysctl.ts';

const SIFTR = 'net.inet.siftr.';
export const CC_ALGORITHM = 'net.inet.tcp.cc.algorithm';
const TFO_SETKEY = 'net.inet.tcp.fastopen.setkey';
const HC_LIST = 'net.inet.tcp.hostcache.list';

/** The sysctl tree of a process: the main thread's copy rules, shards get what changes. */
export class Tuning {
  readonly tune = new Tunables();
  readonly #texts = new Map<string, string>();
  #siftr: SiftrControl | null = null;
  /** Sends changed fields to every shard. */
  #publish: (fields: Record<string, number>) => Promise<void>;
  /** Names the congestion control of new connections to every shard. */
  #publishCc: (name: string) => Promise<void>;
  /** Gives every shard a key of Fast Open cookies. */
  #publishKey: (words: number[]) => Promise<void>;
  /** Such a key from before start, or null. */
  #key: number[] | null;
  /** Knobs are set one after the other, so that all shards and what is shown end with the same value. */
  #last: Promise<unknown>;

  constructor() {
    this.#last = Promise.resolve();
    this.#publish = async () => {};
    this.#publishCc = async () => {};
    this.#publishKey = async () => {};
    this.#key = null;
  }

  /** From now on SIFTR's knobs are its control's, and changes go to the shards. */
  connect(
    siftr: SiftrControl,
    publish: (fields: Record<string, number>) => Promise<void>,
    publishCc: (name: string) => Promise<void> = async () => {},
    publishKey: (words: number[]) => Promise<void> = async () => {},
  ): void {
    this.#siftr = siftr;
    this.#publish = publish;
    this.#publishCc = publishCc;
    this.#publishKey = publishKey;
  }

  /** Applies assignments before anything runs; those of SIFTR are the caller's to read back. */
  boot(assignments: readonly SysctlAssignment[]): void {
    for (const a of assignments) {
      if (a.decl.name === TFO_SETKEY) this.#key = this.#keyOf(String(a.value));
      else if (a.decl.type === 'string') this.#texts.set(a.decl.name, String(a.value));
      else setTunable(this.tune, a.decl, Number(a.value));
    }
  }

  /** Value that a knob has, for what begins with it. */
  value(decl: SysctlDecl): number | string {
    return decl.type === 'string' ? (this.#texts.get(decl.name) ?? decl.default) : getTunable(this.tune, decl);
  }

  /** Text of a string knob that was set before start, or undefined. */
  text(name: string): string | undefined {
    return this.#texts.get(name);
  }

  /** Words of the key of Fast Open cookies that was set before start, or null. */
  get tfoKey(): readonly number[] | null {
    return this.#key;
  }

  /** The words of a key in hexadecimal digits, least significant byte first; null for none. */
  #keyOf(text: string): number[] | null {
    const bytes = Buffer.from(text, 'hex');
    if (bytes.length !== this.tune.tcp_fastopen_keylen) return null;
    return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readInt32LE(4 * i));
  }

  /** Every numeric field, for a shard's start. */
  fields(): Record<string, number> {
    return { ...this.tune } as unknown as Record<string, number>;
  }

  rows(): SysctlRow[] {
    this.#readSiftr();
    this.#texts.set('net.inet.tcp.cc.available', ccNames().join(', '));
    return sysctlRows(this.tune, this.#texts);
  }

  /** @param lines the entries of all shards' host caches, as their knobs are to show them */
  showHostCache(lines: string): void {
    this.tune.tcp_hc_count = lines === '' ? 0 : lines.split('\n').length - 1;
    this.#texts.set(HC_LIST, HC_LIST_HEAD + lines);
  }

  /**
   * Sets a knob of the running stack; done when every shard has it. A refusal comes back as `error`; an unknown name too.
   */
  set(name: string, text: string): Promise<SysctlChange> {
    const done = this.#last.then(() => this.#set(name, text));
    this.#last = done.catch(() => {});
    return done;
  }

  async #set(name: string, text: string): Promise<SysctlChange> {
    this.#readSiftr();
    let old = '';
    try {
      const decl = findSysctl(name);
      old = String(this.value(decl));
      checkWritable(decl, 'run');
      const value = parseSysctl(decl, text);
      if (name.startsWith(SIFTR) && this.#siftr !== null) {
        await this.#siftr.setSysctl(name, value);
      } else if (decl.type !== 'string') {
        setTunable(this.tune, decl, Number(value));
        await this.#publish({ [decl.field]: Number(value) });
        if (decl.action === true) setTunable(this.tune, decl, 0);
      } else if (name === TFO_SETKEY) {
        const words = this.#keyOf(String(value));
        if (words !== null) await this.#publishKey(words);
        return { name, old, new: words === null ? old : 'set' };
      } else if (name === CC_ALGORITHM) {
        await this.#publishCc(String(value));
      }
      if (decl.type === 'string') this.#texts.set(name, String(value));
      return { name, old, new: String(value) };
    } catch (err) {
      if (!(err instanceof SysctlError) && (err as { code?: unknown }).code === undefined) throw err;
      return { name, old, error: (err as Error).message.replace(`${name}=${text}: `, '') };
    }
  }

  #readSiftr(): void {
    const siftr = this.#siftr;
    if (siftr === null) return;
    for (const decl of SIFTR_DECLS) {
      const value = siftr.getSysctl(decl.name);
      if (decl.type === 'string') this.#texts.set(decl.name, String(value));
      else setTunable(this.tune, decl, Number(value));
    }
  }
}
