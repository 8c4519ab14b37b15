import { describe, expect, it } from 'vitest';
import { LinkWatch } from '../../../src/daemon/link-watch.ts';

const IFF_UP = 0x1;
const IFF_RUNNING = 0x40;
const UP = IFF_UP | IFF_RUNNING | 0x1002;

/** What a watch tells of these flags, one look each. */
function told(...flags: number[]): string[] {
  const lines: string[] = [];
  let now = 0;
  const watch = new LinkWatch({
    name: 'ix1',
    namespaces: [],
    flags: () => now,
    log: { info: (text) => lines.push(`info ${text}`), warn: (text) => lines.push(`warn ${text}`) },
    changed: (up) => lines.push(`changed ${up}`),
    gone: (err) => lines.push(`gone ${err.message}`),
  });
  for (now of flags) watch.look();
  return lines;
}

describe('the watch of an interface', () => {
  it('says nothing while the link stays up', () => {
    expect(told(UP, UP, UP & ~0x1000)).toEqual([]);
  });

  it('tells once that the link went down and why, and once that it came up', () => {
    expect(told(UP, 0, 0, IFF_UP, UP, UP)).toEqual([
      'warn ix1: link state changed to DOWN (the interface was set down)',
      'changed false',
      'info ix1: link state changed to UP',
      'changed true',
    ]);
    expect(told(UP, IFF_UP, UP)[0]).toBe('warn ix1: link state changed to DOWN (no carrier)');
  });

  it('tells of a link that is down from the start', () => {
    expect(told(IFF_UP)).toHaveLength(2);
  });

  it('tells once that the interface is gone, and nothing after', () => {
    expect(told(UP, -1, -1, 0, UP)).toEqual([
      'gone the interface ix1 is gone: it was removed, or moved to another network namespace',
    ]);
  });
});
