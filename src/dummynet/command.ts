import { type PipeSpec, parsePipe } from './config.ts';
import { DnctlError } from './error.ts';
import { parsePipeNumber, parseRule, RULE_MAX, type RuleSpec } from './rule.ts';

/** A command of `xsiftr dnctl`. An empty list of numbers in `show` is all of them. */
export type DnctlCommand =
  | { readonly op: 'config'; readonly number: number; readonly spec: PipeSpec }
  | { readonly op: 'show'; readonly numbers: readonly number[] }
  | { readonly op: 'delete'; readonly numbers: readonly number[] }
  | { readonly op: 'flush' }
  /** Rule number 0: the next free one. */
  | { readonly op: 'addRule'; readonly rule: RuleSpec }
  | { readonly op: 'showRules'; readonly numbers: readonly number[]; readonly counts: boolean }
  | { readonly op: 'deleteRules'; readonly numbers: readonly number[] }
  | { readonly op: 'flushRules' };

const FORMS =
  'pipe N config OPTIONS, pipe show [N…], pipe delete N…, rule add [N] pipe N PROTO from SRC to DST [in | out], rule show [N…], rule delete N…, flush';

/**
 * Reads the words of a command.
 * @param readFile gives the content of the file that an option names
 * @throws DnctlError, one line
 */
export function parseCommand(words: readonly string[], readFile: (name: string) => string): DnctlCommand {
  const [object, ...rest] = words;
  switch (object) {
    case 'pipe':
      return pipeCommand(rest, readFile);
    case 'rule':
      return ruleCommand(rest);
    case 'list':
    case 'show':
      return { op: 'show', numbers: rest.map(parsePipeNumber) };
    case 'delete':
      return { op: 'delete', numbers: some('delete', rest).map(parsePipeNumber) };
    case 'flush':
      nothing('flush', rest);
      return { op: 'flush' };
    case 'queue':
    case 'sched':
      throw new DnctlError(`${object}: weighted queues and schedulers are not supported; only pipes are`);
    case undefined:
      throw new DnctlError(`no command; allowed are ${FORMS}`);
  }
  throw new DnctlError(`${object}: no such command; allowed are ${FORMS}`);
}

/** `pipe N config …`, and `show`, `list` and `delete` before or behind the number. */
function pipeCommand(words: readonly string[], readFile: (name: string) => string): DnctlCommand {
  const [first, second, ...rest] = words;
  const numberFirst = first !== undefined && /^\d/.test(first);
  const op = numberFirst ? second : first;
  const others = numberFirst ? [first, ...rest] : words.slice(1);
  switch (op) {
    case 'config': {
      if (!numberFirst) throw new DnctlError('pipe config: its number is missing; write pipe N config');
      const number = parsePipeNumber(first);
      try {
        return { op, number, spec: parsePipe(rest, readFile) };
      } catch (err) {
        if (err instanceof DnctlError) throw new DnctlError(`pipe ${number} config: ${err.message}`);
        throw err;
      }
    }
    case 'show':
    case 'list':
      return { op: 'show', numbers: others.map(parsePipeNumber) };
    case 'delete':
      return { op, numbers: some('pipe delete', others).map(parsePipeNumber) };
    case 'flush':
      nothing('pipe flush', others);
      return { op };
  }
  throw new DnctlError(`pipe ${words.join(' ')}: allowed are pipe N config OPTIONS, pipe show [N…] and pipe delete N…`);
}

function ruleCommand(words: readonly string[]): DnctlCommand {
  const [op, ...rest] = words;
  switch (op) {
    case 'add': {
      const numbered = /^\d+$/.test(rest[0] ?? '');
      const number = numbered ? ruleNumber(rest[0]!) : 0;
      return { op: 'addRule', rule: parseRule(number, numbered ? rest.slice(1) : rest) };
    }
    case 'show':
    case 'list':
      return { op: 'showRules', numbers: rest.map(ruleNumber), counts: op === 'show' };
    case 'delete':
      return { op: 'deleteRules', numbers: some('rule delete', rest).map(ruleNumber) };
    case 'flush':
      nothing('rule flush', rest);
      return { op: 'flushRules' };
  }
  throw new DnctlError(
    `rule ${words.join(' ')}: allowed are rule add [N] pipe N PROTO from SRC to DST [in | out], rule show [N…] and rule delete N…`,
  );
}

function ruleNumber(word: string): number {
  const n = /^\d{1,5}$/.test(word) ? Number(word) : 0;
  if (n < 1 || n > RULE_MAX) throw new DnctlError(`rule ${word}: allowed is a number from 1 to ${RULE_MAX}`);
  return n;
}

function some(what: string, words: readonly string[]): readonly string[] {
  if (words.length === 0) throw new DnctlError(`${what}: name the numbers; flush takes all`);
  return words;
}

function nothing(what: string, words: readonly string[]): void {
  if (words.length > 0) throw new DnctlError(`${what} ${words.join(' ')}: flush takes all; to take some, use delete`);
}
