/**
 * Label templates of `netstat -s` (spec/counters.md section 5). `N` and `M` are the two numbers; `{s}`, `{es}` and `{y/ies}` are the
 * plural of the number before them, where 1 alone is singular.
 */

const PART = /\bN\b|\bM\b|\{(?:s|es|y\/ies)\}/g;

/** Fills a template; `m` is only looked at where the template has an `M`. */
export function renderLabel(template: string, n: number, m = 0): string {
  let count = n;
  return template.replace(PART, (part) => {
    if (part === 'N') {
      count = n;
      return String(n);
    }
    if (part === 'M') {
      count = m;
      return String(m);
    }
    if (part === '{y/ies}') return count === 1 ? 'y' : 'ies';
    return count === 1 ? '' : part.slice(1, -1);
  });
}
