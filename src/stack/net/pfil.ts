import { pfils } from '../../metrics/layout.ts';
import type { Mbuf } from '../../rings/mbuf.ts';
import type { Ifnet } from '../ifnet.ts';
import type { Stack } from '../stack.ts';

/**
 * pfil(9): ordered filter hooks at fixed points of the packet path (spec/packetflow.md 2).
 *
 * The default link puts a hook nearest the wire: first of the in chain, last of the out chain. `append` puts it farthest from the
 * wire. So two filters see a packet in mirrored order on its way in and out.
 */

/** The packet goes on; it belongs to the stack. */
export const PFIL_PASS = 0;
/** The hook has freed the packet. */
export const PFIL_DROPPED = 1;
/** The hook keeps the packet. */
export const PFIL_CONSUMED = 2;
/** As PASS: the packet is another than before. Only heads over raw memory can tell; none exists here yet. */
export const PFIL_REALLOCED = 3;

export type Verdict = 0 | 1 | 2 | 3;
export type PfilType = 'ethernet' | 'inet' | 'inet6';

/** What a hook is told besides the packet. Reused: valid during the call only. */
export class PfilCtx {
  readonly dir: 'in' | 'out';
  /** The packet is being forwarded. */
  fwd: boolean;
  ifp: Ifnet;
  queue: number;
  /** Control block of the local socket that sends; null on input and forward. */
  inp: unknown;
  /** `clock.us` of the shard. */
  now: number;

  constructor(dir: 'in' | 'out') {
    this.dir = dir;
    this.fwd = false;
    this.ifp = null as never;
    this.queue = 0;
    this.inp = null;
    this.now = 0;
  }
}

/** A filter. Printed as `mod:rul`, for instance `siftr:default`. */
export interface PfilHook {
  readonly mod: string;
  readonly rul: string;
  readonly type: PfilType;
  /** Bits of pfil(9) that the filter asks for; 0 for a plain one. */
  readonly flags: number;
  /** Synchronous. `m.pos` is at the header that the head's type names; fields are in network order. */
  mbuf(m: Mbuf, c: PfilCtx): Verdict;
}

/** Words of a link's own counters. */
export const PFIL_CNT_PASS = 0;
export const PFIL_CNT_DROP = 1;
export const PFIL_CNT_CONSUME = 2;
export const PFIL_CNT_ERROR = 3;

/** A hook on one chain of a head. */
export class PfilLink {
  readonly hook: PfilHook;
  /** Verdicts by PFIL_CNT_*. */
  readonly cnt: Float64Array;
  /** What the hook threw last, or null. */
  lastError: unknown;

  constructor(hook: PfilHook) {
    this.hook = hook;
    this.cnt = new Float64Array(4);
    this.lastError = null;
  }
}

/** A filtering point. Chains are replaced, never changed: a packet on its way keeps the chain that it entered. */
export class PfilHead {
  readonly name: string;
  readonly type: PfilType;
  /** In calling order; null when empty, so that callers test one word. */
  in: readonly PfilLink[] | null;
  out: readonly PfilLink[] | null;
  /** What the callers fill before a run, one a direction: a hook on input may send. */
  readonly ctxIn: PfilCtx;
  readonly ctxOut: PfilCtx;

  constructor(name: string, type: PfilType) {
    this.name = name;
    this.type = type;
    this.in = null;
    this.out = null;
    this.ctxIn = new PfilCtx('in');
    this.ctxOut = new PfilCtx('out');
  }
}

/**
 * Runs a chain (not null: the caller has tested). Returns PASS, DROPPED or CONSUMED; only after PASS does the packet still belong
 * to the caller. A hook that throws has dropped the packet.
 */
export function pfilRun(st: Stack, chain: readonly PfilLink[], m: Mbuf, c: PfilCtx): Verdict {
  return runFrom(st, chain, 0, m, c);
}

/**
 * Goes on with a packet that `hook` kept, at the hook behind it: none sees it twice. Where the hook is no longer linked the packet
 * is through.
 */
export function pfilResume(st: Stack, chain: readonly PfilLink[], hook: PfilHook, m: Mbuf, c: PfilCtx): Verdict {
  for (let i = 0; i < chain.length; i++) if (chain[i]!.hook === hook) return runFrom(st, chain, i + 1, m, c);
  return PFIL_PASS;
}

function runFrom(st: Stack, chain: readonly PfilLink[], from: number, m: Mbuf, c: PfilCtx): Verdict {
  for (let i = from; i < chain.length; i++) {
    const link = chain[i]!;
    const verdict = call(st, link, m, c);
    if (verdict === PFIL_DROPPED) {
      link.cnt[PFIL_CNT_DROP]!++;
      return PFIL_DROPPED;
    }
    if (verdict === PFIL_CONSUMED) {
      link.cnt[PFIL_CNT_CONSUME]!++;
      return PFIL_CONSUMED;
    }
    link.cnt[PFIL_CNT_PASS]!++;
  }
  return PFIL_PASS;
}

function call(st: Stack, link: PfilLink, m: Mbuf, c: PfilCtx): Verdict {
  try {
    return link.hook.mbuf(m, c);
  } catch (e) {
    st.cnt[pfils.pfils_hook_errors]!++;
    link.cnt[PFIL_CNT_ERROR]!++;
    // Said once a link: a broken hook may break at every packet.
    if (link.lastError === null) st.onWarning?.(`pfil: hook ${link.hook.mod}:${link.hook.rul} failed: ${String(e)}`);
    link.lastError = e;
    // A hook that fails half way may have freed the packet before.
    if (!m.isFree) m.pool.put(m);
    return PFIL_DROPPED;
  }
}

/** A refused registration; `code` as pfil(9) has it. */
export class PfilError extends Error {
  override readonly name = 'PfilError';
  readonly code: 'ENOENT' | 'EINVAL' | 'EEXIST';

  constructor(code: 'ENOENT' | 'EINVAL' | 'EEXIST', message: string) {
    super(message);
    this.code = code;
  }
}

export interface PfilLinkOptions {
  readonly in?: boolean;
  readonly out?: boolean;
  /** Farthest from the wire instead of nearest. */
  readonly append?: boolean;
}

/** The heads and hooks of a stack. */
export class Pfil {
  readonly ethernet: PfilHead;
  readonly inet: PfilHead;
  /** Called with `duplicate head "x"` and the like: names may repeat, as in pfil(9), but somebody ought to know. */
  onWarning: ((text: string) => void) | null;
  readonly #heads: PfilHead[];
  readonly #hooks: PfilHook[];

  constructor() {
    this.onWarning = null;
    this.#heads = [];
    this.#hooks = [];
    this.ethernet = this.headRegister('ethernet', 'ethernet');
    this.inet = this.headRegister('inet', 'inet');
  }

  get heads(): readonly PfilHead[] {
    return this.#heads;
  }

  get hooks(): readonly PfilHook[] {
    return this.#hooks;
  }

  headRegister(name: string, type: PfilType): PfilHead {
    if (this.#heads.some((h) => h.name === name)) this.onWarning?.(`pfil: duplicate head "${name}"`);
    const head = new PfilHead(name, type);
    this.#heads.push(head);
    return head;
  }

  /** Throws ENOENT for a head that is not registered. Its links go with it. */
  headUnregister(head: PfilHead): void {
    const i = this.#heads.indexOf(head);
    if (i < 0) throw new PfilError('ENOENT', `no head "${head.name}"`);
    this.#heads.splice(i, 1);
    head.in = null;
    head.out = null;
  }

  addHook(hook: PfilHook): void {
    if (this.#hooks.some((h) => h.mod === hook.mod && h.rul === hook.rul)) {
      this.onWarning?.(`pfil: duplicate hook "${hook.mod}:${hook.rul}"`);
    }
    this.#hooks.push(hook);
  }

  /** Unlinks the hook from every head and forgets it. Throws ENOENT for one that was not added. */
  removeHook(hook: PfilHook): void {
    const i = this.#hooks.indexOf(hook);
    if (i < 0) throw new PfilError('ENOENT', `no hook "${hook.mod}:${hook.rul}"`);
    this.#hooks.splice(i, 1);
    for (const head of this.#heads) {
      head.in = without(head.in, hook);
      head.out = without(head.out, hook);
    }
  }

  /** Throws ENOENT (unknown head or hook), EINVAL (types differ, no direction) or EEXIST (already on that chain). */
  link(head: PfilHead, hook: PfilHook, options: PfilLinkOptions): void {
    this.#check(head, hook, options);
    if (head.type !== hook.type)
      throw new PfilError('EINVAL', `"${hook.mod}:${hook.rul}" filters ${hook.type}, "${head.name}" is ${head.type}`);
    if ((options.in && has(head.in, hook)) || (options.out && has(head.out, hook))) {
      throw new PfilError('EEXIST', `"${hook.mod}:${hook.rul}" is linked to "${head.name}" already`);
    }
    const append = options.append ?? false;
    if (options.in) head.in = put(head.in, new PfilLink(hook), append);
    if (options.out) head.out = put(head.out, new PfilLink(hook), !append);
  }

  /** Throws ENOENT for an unknown head or hook and for a hook that is not linked there, EINVAL without a direction. */
  unlink(head: PfilHead, hook: PfilHook, options: PfilLinkOptions): void {
    this.#check(head, hook, options);
    if ((options.in && !has(head.in, hook)) || (options.out && !has(head.out, hook))) {
      throw new PfilError('ENOENT', `"${hook.mod}:${hook.rul}" is not linked to "${head.name}"`);
    }
    if (options.in) head.in = without(head.in, hook);
    if (options.out) head.out = without(head.out, hook);
  }

  #check(head: PfilHead, hook: PfilHook, options: PfilLinkOptions): void {
    if (!this.#heads.includes(head)) throw new PfilError('ENOENT', `no head "${head.name}"`);
    if (!this.#hooks.includes(hook)) throw new PfilError('ENOENT', `no hook "${hook.mod}:${hook.rul}"`);
    if (!options.in && !options.out) throw new PfilError('EINVAL', 'neither in nor out');
  }
}

function has(chain: readonly PfilLink[] | null, hook: PfilHook): boolean {
  return chain?.some((l) => l.hook === hook) ?? false;
}

function put(chain: readonly PfilLink[] | null, link: PfilLink, last: boolean): readonly PfilLink[] {
  const old = chain ?? [];
  return last ? [...old, link] : [link, ...old];
}

function without(chain: readonly PfilLink[] | null, hook: PfilHook): readonly PfilLink[] | null {
  const rest = (chain ?? []).filter((l) => l.hook !== hook);
  return rest.length === 0 ? null : rest;
}
