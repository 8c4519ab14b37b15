import type { KstatEntry, Kv } from '../metrics/queuekv.ts';
import { ViewError } from './view-error.ts';

/** Output and selectors of OpenBSD's kstat(1) (spec/counters.md 3). */

const UNIT_TEXT = { none: '', packets: ' packets', bytes: ' bytes' } as const;

function valueText(kv: Kv): string {
  if (kv.type === 'bool') return kv.value === 0 ? 'false' : 'true';
  if (kv.type === 'counter32' || kv.type === 'uint32') return String(((kv.value % 2 ** 32) + 2 ** 32) % 2 ** 32);
  return String(kv.value);
}

function entryText(entry: KstatEntry): string {
  let text = `${entry.provider}:${entry.instance}:${entry.name}:${entry.unit}\n`;
  if (entry.error !== undefined) return `${text}\tkstat read error: ${entry.error}\n`;
  for (const kv of entry.kvs) {
    text += `${kv.key.slice(0, 16).padStart(16)}: ${valueText(kv)}${UNIT_TEXT[kv.unit]}\n`;
  }
  return text;
}

/** Names are ASCII, so comparing code units is comparing bytes. */
const byteOrder = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function compareEntries(a: KstatEntry, b: KstatEntry): number {
  return byteOrder(a.provider, b.provider) || a.instance - b.instance || byteOrder(a.name, b.name) || a.unit - b.unit;
}

/**
 * fnmatch(3) with FNM_NOESCAPE and FNM_LEADING_DIR as a regular expression: `*`, `?` and bracket expressions, no escapes; what
 * follows a slash after a match is ignored. A bracket that is not closed stands for itself.
 */
function globPattern(glob: string): RegExp {
  let source = '';
  for (let i = 0; i < glob.length; i++) {
    const c = glob[i]!;
    if (c === '*') source += '.*';
    else if (c === '?') source += '.';
    else {
      const bracket = c === '[' ? /^\[([!^]?)(\]?[^\]]*)\]/s.exec(glob.slice(i)) : null;
      if (bracket === null) {
        source += c.replace(/[\\^$.|+()[\]{}]/, '\\$&');
      } else {
        source += `[${bracket[1] === '' ? '' : '^'}${bracket[2]!.replace(/[\\\]^[]/g, '\\$&')}]`;
        i += bracket[0].length - 1;
      }
    }
  }
  try {
    return new RegExp(`^(?:${source})(?:/.*)?$`, 's');
  } catch {
    // A range whose ends are the wrong way round matches nothing.
    return /$^/;
  }
}

function parseNumber(text: string, selector: string, what: string): number | null {
  if (text === '') return null;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 0xffffffff) {
    throw new ViewError(`${selector}: ${what} ${text} is invalid; allowed: 0..4294967295, or nothing for any`);
  }
  return value;
}

function parseSelector(selector: string): (entry: KstatEntry) => boolean {
  const fields = selector.split(':');
  if (fields.length === 1) {
    if (selector === '') throw new ViewError('empty name');
    const name = globPattern(selector);
    return (e) => name.test(e.name);
  }
  if (fields.length !== 4) {
    throw new ViewError(`${selector}: a selector is one name, or provider:instance:name:unit`);
  }
  const provider = fields[0] === '' ? null : globPattern(fields[0]!);
  const instance = parseNumber(fields[1]!, selector, 'instance');
  const name = fields[2] === '' ? null : globPattern(fields[2]!);
  const unit = parseNumber(fields[3]!, selector, 'unit');
  return (e) =>
    (provider === null || provider.test(e.provider)) &&
    (instance === null || instance === e.instance) &&
    (name === null || name.test(e.name)) &&
    (unit === null || unit === e.unit);
}

/**
 * The text of kstat(1): the entries that any selector matches, all without selectors, sorted.
 * @throws ViewError for a selector that is none
 */
export function renderKstat(entries: readonly KstatEntry[], selectors: readonly string[] = []): string {
  const matchers = selectors.map(parseSelector);
  return entries
    .filter((e) => matchers.length === 0 || matchers.some((matches) => matches(e)))
    .sort(compareEntries)
    .map(entryText)
    .join('');
}
