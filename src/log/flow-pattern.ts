import { LogError } from './error.ts';
import type { Tuple } from './model.ts';

/** Which flows are meant: each part as the log spells it, or null for any. */
export interface FlowPattern {
  readonly text: string;
  readonly laddr: string | null;
  readonly lport: number | null;
  readonly faddr: string | null;
  readonly fport: number | null;
}

/**
 * Reads `laddr;lport-faddr;fport`, the spelling of a disable line's flow_list, where `*` stands for any address or port.
 * @param option name of the option, for the refusal
 * @throws LogError
 */
export function parseFlowPattern(option: string, text: string): FlowPattern {
  const m = /^([^;]+);(\*|\d{1,5})-([^;]+);(\*|\d{1,5})$/.exec(text);
  const port = (s: string) => (s === '*' ? null : Number(s));
  const addr = (s: string) => (s === '*' ? null : s.toLowerCase());
  const lport = m === null ? 0 : port(m[2]!);
  const fport = m === null ? 0 : port(m[4]!);
  if (m === null || (lport ?? 0) > 0xffff || (fport ?? 0) > 0xffff) {
    throw new LogError(`${option} ${text}: allowed is 'laddr;lport-faddr;fport', with * for any part`);
  }
  return { text, laddr: addr(m[1]!), lport, faddr: addr(m[3]!), fport };
}

/** True when one of the patterns fits, or when there are none. */
export function matches(patterns: readonly FlowPattern[], t: Tuple): boolean {
  if (patterns.length === 0) return true;
  return patterns.some(
    (p) =>
      (p.lport === null || p.lport === t.lport) &&
      (p.fport === null || p.fport === t.fport) &&
      (p.laddr === null || p.laddr === t.laddr.toLowerCase()) &&
      (p.faddr === null || p.faddr === t.faddr.toLowerCase()),
  );
}

/** The flow as a flow_list spells it. */
export function flowText(t: Tuple): string {
  return `${t.laddr};${t.lport}-${t.faddr};${t.fport}`;
}
