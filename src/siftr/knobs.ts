import { findSysctl, SYSCTLS, type SysctlDecl, type SysctlNumber } from '../stack/sysctl.ts';
import { SiftrError } from './logfile.ts';
import {
  CFG_FLOW_LIST_MAX,
  CFG_FLOW_MAX,
  CFG_LOGFILE_MARKERS,
  CFG_PORT_FILTER,
  CFG_PPL,
  CFG_STRICT,
} from './shared.ts';

export const PREFIX = 'net.inet.siftr.';

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
  { name: `${PREFIX}ppl`, cfg: CFG_PPL },
  { name: `${PREFIX}port_filter`, cfg: CFG_PORT_FILTER },
  { name: `${PREFIX}logfile_markers`, cfg: CFG_LOGFILE_MARKERS },
  { name: `${PREFIX}flow_max`, cfg: CFG_FLOW_MAX },
  { name: `${PREFIX}flow_list_max_bytes`, cfg: CFG_FLOW_LIST_MAX },
  { name: `${PREFIX}strict`, cfg: CFG_STRICT, idle: true },
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

/** Length of the rings, which SiftrControl makes. */
export const QLEN = `${PREFIX}qlen`;

/** The number of records that `net.inet.siftr.qlen` asks for. @throws SiftrError EINVAL */
export function checkQlen(value: number | string): number {
  const { min, max } = findSysctl(QLEN) as SysctlNumber;
  const n = wholeNumber(QLEN, value, min, max);
  if ((n & (n - 1)) !== 0) throw refusal(QLEN, value, `allowed is a power of two from ${min} to ${max}`);
  return n;
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
