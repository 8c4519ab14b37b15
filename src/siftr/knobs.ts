import { findSysctl, SYSCTLS, type SysctlDecl, type SysctlNumber } from '../stack/sysctl.ts';
import { FLOW_FILTER_ALLOWED, parseFlowFilter, storeFlowFilter } from './flow-filter.ts';
import { SiftrError } from './logfile.ts';
import { QLEN_DEFAULT } from './record.ts';
import {
  CFG_CWND_FILTER,
  CFG_FLOW_LIST_MAX,
  CFG_FLOW_MAX,
  CFG_HOOK,
  CFG_INFLIGHT,
  CFG_IPMODE,
  CFG_LOGFILE_MARKERS,
  CFG_PORT_FILTER,
  CFG_PPL,
  CFG_PPL_DIR,
  CFG_PPL_FIRST,
  CFG_STRICT,
} from './shared.ts';

export const PREFIX = 'net.inet.siftr.';
export const FLOW_FILTER = `${PREFIX}flow_filter`;
/** Length of the rings, which SiftrControl makes. */
export const QLEN = `${PREFIX}qlen`;

/** A knob that is one word of the shared settings. Type, range and default are those of its declaration (src/stack/sysctl-siftr.ts). */
export interface SiftrKnob {
  readonly name: string;
  /** The word: the number, or for a knob with a text the index of it in the declaration's `allowed`. */
  readonly cfg: number;
  /** Holds for whole cycles: set while SIFTR is off, else EBUSY. */
  readonly idle?: true;
  /** Why a value that the declaration allows is refused all the same (what is allowed), or null. */
  readonly refuse?: (value: number, cfg: Int32Array) => string | null;
}

/** Every knob that is a word. The others (`enabled`, `logfile`, …) are carried out by SiftrControl. */
export const KNOBS: readonly SiftrKnob[] = [
  { name: `${PREFIX}logfile_markers`, cfg: CFG_LOGFILE_MARKERS },
  { name: `${PREFIX}flow_max`, cfg: CFG_FLOW_MAX },
  { name: `${PREFIX}flow_list_max_bytes`, cfg: CFG_FLOW_LIST_MAX },
  // Before those that depend on it.
  { name: `${PREFIX}strict`, cfg: CFG_STRICT, idle: true },
  {
    name: `${PREFIX}ppl`,
    cfg: CFG_PPL,
    refuse: (ppl, cfg) =>
      ppl === 0 && cfg[CFG_STRICT] === 0
        ? `allowed is a whole number from 1 to 4294967295; 0 with strict=1 only`
        : null,
  },
  { name: `${PREFIX}ppl_first`, cfg: CFG_PPL_FIRST },
  { name: `${PREFIX}ppl_dir`, cfg: CFG_PPL_DIR },
  { name: `${PREFIX}port_filter`, cfg: CFG_PORT_FILTER },
  { name: `${PREFIX}cwnd_filter`, cfg: CFG_CWND_FILTER },
  { name: `${PREFIX}hook`, cfg: CFG_HOOK, idle: true },
  { name: `${PREFIX}inflight`, cfg: CFG_INFLIGHT, idle: true },
  { name: `${PREFIX}ipmode`, cfg: CFG_IPMODE, idle: true },
];

const byName: ReadonlyMap<string, SiftrKnob> = new Map(KNOBS.map((k) => [k.name, k]));

/** Declarations of all of SIFTR's knobs. */
export const SIFTR_DECLS: readonly SysctlDecl[] = SYSCTLS.filter((d) => d.name.startsWith(PREFIX));

/** The knob of a full name; undefined where the name is none, or no word. */
export function findKnob(name: string): SiftrKnob | undefined {
  return byName.get(name);
}

/** Value of a knob as sysctl shows it. */
export function readKnob(knob: SiftrKnob, cfg: Int32Array): number | string {
  const decl = findSysctl(knob.name);
  const word = cfg[knob.cfg]!;
  if (decl.type === 'string') return decl.allowed!()[word]!;
  return decl.max > 0x7fffffff ? word >>> 0 : word;
}

/**
 * Stores a value in a knob's word. The text of a command is checked before (src/stack/sysctl.ts); numbers are checked again, because a value
 * out of range must not reach the log.
 * @throws SiftrError EINVAL
 */
export function writeKnob(knob: SiftrKnob, cfg: Int32Array, value: number | string): void {
  const decl = findSysctl(knob.name);
  let word: number;
  if (decl.type === 'string') {
    const texts = decl.allowed!();
    word = texts.indexOf(String(value));
    if (word < 0) throw refusal(knob.name, value, `allowed is ${texts.join(' or ')}`);
  } else {
    word = wholeNumber(knob.name, value, decl.min, decl.max);
  }
  const why = knob.refuse?.(word, cfg) ?? null;
  if (why !== null) throw refusal(knob.name, value, why);
  Atomics.store(cfg, knob.cfg, word | 0);
}

/** The number of records that `net.inet.siftr.qlen` asks for. @throws SiftrError EINVAL */
export function checkQlen(value: number | string): number {
  const { min, max } = findSysctl(QLEN) as SysctlNumber;
  const n = wholeNumber(QLEN, value, min, max);
  if ((n & (n - 1)) !== 0) throw refusal(QLEN, value, `allowed is a power of two from ${min} to ${max}`);
  return n;
}

/**
 * Stores a flow filter (src/siftr/flow-filter.ts).
 * @throws SiftrError EINVAL, and the one that was there stays
 */
export function writeFlowFilter(cfg: Int32Array, text: string): void {
  const words = parseFlowFilter(text);
  if (words === null) throw refusal(FLOW_FILTER, text, `allowed is ${FLOW_FILTER_ALLOWED}`);
  storeFlowFilter(cfg, words);
}

/**
 * Sets what was given before a start, in any order: shared settings that are fresh become those of the run.
 * @param values by full name; of other knobs `qlen` is checked and the rest left out
 * @throws SiftrError EINVAL
 */
export function writeKnobs(cfg: Int32Array, values: ReadonlyMap<string, number | string>): void {
  for (const knob of KNOBS) {
    const value = values.get(knob.name);
    if (value !== undefined) writeKnob(knob, cfg, value);
  }
  writeFlowFilter(cfg, String(values.get(FLOW_FILTER) ?? ''));
  checkQlen(values.get(QLEN) ?? QLEN_DEFAULT);
}

/** @throws SiftrError EINVAL for anything but a whole number in the range */
export function wholeNumber(name: string, value: number | string, min: number, max: number): number {
  const n = typeof value === 'number' ? value : Number(value);
  if (!Number.isInteger(n) || n < min || n > max || value === '') {
    throw refusal(name, value, `allowed is a whole number from ${min} to ${max}`);
  }
  return n;
}

function refusal(name: string, value: number | string, allowed: string): SiftrError {
  return new SiftrError('EINVAL', `${name}=${value}: ${allowed}`);
}
