/** Sizes and durations as people write them, both ways. Parsers return null for what they do not understand. */

const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
};

/**
 * A size in bytes: `4096`, `64K`, `1.5GiB`, `2 MB`. Units count in powers of 1024, with or without `B` or `iB`, in either case.
 * Null when it is not a size or not finite; the result is a whole number.
 */
export function parseSize(text: string): number | null {
  const m = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(text.trim());
  if (m === null) return null;
  const bytes = Math.floor(Number(m[1]) * SIZE_UNITS[m[2]!.toLowerCase()]!);
  return Number.isSafeInteger(bytes) ? bytes : null;
}

const DURATION_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** A time in milliseconds: `10` (seconds), `500ms`, `10s`, `1.5m`, `1h30m`, `2d`. Null when it is not one. */
export function parseDuration(text: string): number | null {
  const s = text.trim().toLowerCase();
  if (/^\d+(\.\d+)?$/.test(s)) return Math.round(Number(s) * 1000);
  if (!/^(\d+(\.\d+)?(ms|s|min|m|h|d))+$/.test(s)) return null;
  let ms = 0;
  for (const part of s.matchAll(/(\d+(?:\.\d+)?)(ms|s|min|m|h|d)/g)) ms += Number(part[1]) * DURATION_MS[part[2]!]!;
  return Number.isSafeInteger(Math.round(ms)) ? Math.round(ms) : null;
}

/** A size for people: `64 MiB`, `1.5 GiB`, `512 B`. */
export function formatSize(bytes: number): string {
  let n = bytes;
  let unit = 'B';
  for (const next of ['KiB', 'MiB', 'GiB', 'TiB']) {
    if (n < 1024) break;
    n /= 1024;
    unit = next;
  }
  return `${Number.isInteger(n) ? n : n.toFixed(1)} ${unit}`;
}

/** A rate or count for people with a decimal prefix: `950`, `12.3k`, `8.77G`. */
export function formatSi(n: number): string {
  let v = n;
  let unit = '';
  for (const next of ['k', 'M', 'G', 'T']) {
    if (v < 1000) break;
    v /= 1000;
    unit = next;
  }
  return unit === ''
    ? String(Math.round(v))
    : `${v < 10 ? v.toFixed(2) : v < 100 ? v.toFixed(1) : v.toFixed(0)}${unit}`;
}

/** A time span for people: `0.4 s`, `12.0 s`, `3 min 20 s`, `2 h 5 min`. */
export function formatDuration(ms: number): string {
  const s = ms / 1000;
  if (s < 60) return `${s.toFixed(1)} s`;
  const min = Math.floor(s / 60);
  if (min < 60) return `${min} min ${Math.floor(s % 60)} s`;
  return `${Math.floor(min / 60)} h ${min % 60} min`;
}

/** The nearest of `known` to a mistyped word (edit distance at most 2 and less than half of it), or null. */
export function nearest(word: string, known: readonly string[]): string | null {
  let best: string | null = null;
  let bestDistance = Math.min(3, Math.ceil(word.length / 2) + 1);
  for (const k of known) {
    const d = distance(word, k);
    if (d < bestDistance) {
      best = k;
      bestDistance = d;
    }
  }
  return best;
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}
