/**
 * The congestion-control modules of a process (a thread has a list of its own, filled alike at its start). Connections, listeners and
 * the sysctl net.inet.tcp.cc.algorithm choose among them by name.
 */
import { bbr } from './bbr.ts';
import { bbr1 } from './bbr1.ts';
import type { CcField, CcModule, CongestionControl } from './cc.ts';
import { cubic } from './cubic.ts';
import { dctcp } from './dctcp.ts';
import { newreno } from './newreno.ts';

/** What a connection has that names no other. */
export const CC_DEFAULT = 'cubic';

/** A module that cannot be taken, or a name that is none: one line that says what was given and what is allowed. */
export class CcError extends Error {
  override readonly name = 'CcError';
  /** EINVAL: not a module; EEXIST: its name is taken; ENOENT: no module of that name. */
  readonly code: 'EINVAL' | 'EEXIST' | 'ENOENT';
  /** A mistake of the user: commands end with this status. */
  readonly exitCode = 2;

  constructor(code: 'EINVAL' | 'EEXIST' | 'ENOENT', message: string) {
    super(message);
    this.code = code;
  }
}

const modules = new Map<string, CcModule>([
  [newreno.name, newreno],
  [cubic.name, cubic],
  [dctcp.name, dctcp],
  [bbr.name, bbr],
  [bbr1.name, bbr1],
]);

const NAME = /^[a-z0-9_-]{1,15}$/;
const REQUIRED = ['init', 'ackReceived', 'congestionSignal'] as const;
const OPTIONAL = ['lost', 'postRecovery', 'afterIdle', 'sent', 'pacingRate', 'readFields'] as const;
/** Most fields of a module: records in logs have room for so many. */
export const CC_MAX_FIELDS = 16;

/**
 * Checks the shape of what a file exports.
 * @returns what is wrong in a few words, or an empty string
 */
export function ccFault(given: unknown): string {
  if (typeof given !== 'object' || given === null) return 'not an object with name and create()';
  const m = given as Partial<CcModule>;
  if (typeof m.name !== 'string' || !NAME.test(m.name)) return 'name must be 1 to 15 of a-z, 0-9, _ and -';
  if (typeof m.create !== 'function') return 'create is not a function';
  const fault = fieldsFault(m.fields);
  if (fault !== '') return fault;
  let cc: CongestionControl;
  try {
    cc = m.create();
  } catch (err) {
    return `create() throws: ${err instanceof Error ? err.message : String(err)}`;
  }
  if (typeof cc !== 'object' || cc === null) return 'create() gives no object';
  for (const f of REQUIRED) if (typeof cc[f] !== 'function') return `create() gives an object without ${f}()`;
  for (const f of OPTIONAL) {
    if (cc[f] !== undefined && typeof cc[f] !== 'function') return `${f} is not a function`;
  }
  if (cc.recovery !== undefined && cc.recovery !== 'prr' && cc.recovery !== 'own') {
    return `recovery is ${String(cc.recovery)}, allowed are prr and own`;
  }
  if (cc.wantsExactEcn !== undefined && typeof cc.wantsExactEcn !== 'boolean') {
    return 'wantsExactEcn is neither true nor false';
  }
  if ((m.fields?.length ?? 0) > 0 && cc.readFields === undefined) return 'it has fields, but no readFields()';
  return '';
}

function fieldsFault(fields: unknown): string {
  if (fields === undefined) return '';
  if (!Array.isArray(fields)) return 'fields is not an array';
  if (fields.length > CC_MAX_FIELDS) return `${fields.length} fields, at most ${CC_MAX_FIELDS} are allowed`;
  const seen = new Set<string>();
  for (const f of fields as Partial<CcField>[]) {
    const name: unknown = f?.name;
    if (typeof name !== 'string' || !/^[a-z][a-z0-9_]{0,31}$/.test(name)) {
      return 'the name of a field must be 1 to 32 of a-z, 0-9 and _, a letter first';
    }
    if (typeof f.unit !== 'string' || typeof f.help !== 'string') return `field ${name} lacks its unit or help`;
    if (seen.has(name)) return `field ${name} twice`;
    seen.add(name);
  }
  return '';
}

/**
 * Adds a module. `create` is called once, to look at what it makes.
 * @param where  what the line of a refusal names, as `./mine.ts`
 * @throws CcError EINVAL or EEXIST
 */
export function ccRegister(given: unknown, where = 'congestion control'): CcModule {
  const fault = ccFault(given);
  if (fault !== '') throw new CcError('EINVAL', `${where}: not a congestion-control module: ${fault}`);
  const m = given as CcModule;
  if (modules.has(m.name)) {
    throw new CcError('EEXIST', `${where}: the name ${m.name} is taken; loaded are ${ccNames().join(', ')}`);
  }
  modules.set(m.name, m);
  return m;
}

/** The module of that name. Throws CcError ENOENT. */
export function ccFind(name: string): CcModule {
  const m = modules.get(name);
  if (m === undefined) throw new CcError('ENOENT', `${name}: allowed are ${ccNames().join(', ')}`);
  return m;
}

/** Names of the modules, in the order they were added. */
export function ccNames(): string[] {
  return [...modules.keys()];
}

/** Connections made from now on use that module unless they name one. Throws CcError ENOENT. */
export function setCcDefault(st: { readonly tcp: { ccDefault: CcModule } }, name: string): void {
  st.tcp.ccDefault = ccFind(name);
}
