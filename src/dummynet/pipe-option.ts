import { type PipeSpec, parsePipe } from './config.ts';
import { DnctlError } from './error.ts';
import { ANY_END, checkRule, parsePorts, parseProto, type RuleSpec } from './rule.ts';

/** One `--pipe`: a pipe and the rule that sends packets to it, as `out,bw=10Mbit/s,delay=20ms,queue=50`. */
export interface PipeOption {
  readonly spec: PipeSpec;
  /** Without its numbers. */
  readonly rule: Omit<RuleSpec, 'number' | 'pipe'>;
}

const DIRECTIONS: readonly string[] = ['in', 'out', 'both'];
const FORM = 'in, out or both, then options of a pipe, as out,bw=10Mbit/s,delay=20ms,queue=50';

/**
 * Reads the value of `--pipe`: the direction, then in any order `tcp`, `udp` or `icmp`, `src-port=P`, `dst-port=P` and the options of a
 * pipe, `name=value` or `name` alone.
 * @throws DnctlError, one line
 */
export function parsePipeOption(text: string, readFile: (name: string) => string): PipeOption {
  const [dir, ...parts] = text.split(',').map((s) => s.trim());
  if (dir === undefined || !DIRECTIONS.includes(dir)) throw new DnctlError(`allowed is ${FORM}`);
  const words: string[] = [];
  let proto = -1;
  let src = ANY_END;
  let dst = ANY_END;
  for (const part of parts) {
    const eq = part.indexOf('=');
    const name = eq < 0 ? part : part.slice(0, eq);
    if (name === '') throw new DnctlError(`an option is empty; allowed is ${FORM}`);
    const known = eq < 0 ? parseProto(name) : null;
    if (known !== null) {
      proto = known;
    } else if (name === 'src-port' || name === 'dst-port') {
      const ports = parsePorts(part.slice(name.length + 1));
      if (ports === null) throw new DnctlError(`${name}: allowed is a port from 1 to 65535, or two with a dash`);
      if (name === 'src-port') src = { ...src, ...ports };
      else dst = { ...dst, ...ports };
    } else {
      words.push(name);
      if (eq >= 0) words.push(part.slice(eq + 1));
    }
  }
  const rule = { proto, src, dst, dir: dir as RuleSpec['dir'] };
  checkRule({ ...rule, number: 1, pipe: 1 });
  return { spec: parsePipe(words, readFile), rule };
}
