import type { SiftrIdent } from './format.ts';
import { CFG_HOOK, CFG_INFLIGHT, CFG_IPMODE, CFG_STRICT } from './shared.ts';

/** What the enable line says of a cycle that begins with these settings. @param ident what does not depend on them */
export function identOf(ident: SiftrIdent, cfg: Int32Array): SiftrIdent {
  return { ...ident, ipmode: cfg[CFG_IPMODE] === 0 ? 4 : 6, modes: modesOf(cfg) };
}

/** Value of the key `xsiftr` (spec/siftr.md section 14): the modes under which a field means something else than in siftr(4). */
function modesOf(cfg: Int32Array): string {
  if (cfg[CFG_STRICT] !== 0) return '';
  const modes: string[] = [];
  if (cfg[CFG_HOOK] !== 0) modes.push('hook:tcp');
  if (cfg[CFG_INFLIGHT] !== 0) modes.push('inflight:pipe');
  return modes.join(',');
}
