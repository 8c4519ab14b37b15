import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkReadableBy } from '../../../src/driver/privileges.ts';

describe('the user that xsiftr becomes', () => {
  const stranger = { name: 'stranger', uid: 61_234, gid: 61_234, groups: [61_234] };
  let top = '';
  beforeEach(() => {
    top = mkdtempSync(join(tmpdir(), 'xsiftr-readable-'));
    chmodSync(top, 0o755);
    mkdirSync(join(top, 'closed/src'), { recursive: true });
  });
  afterEach(() => rmSync(top, { recursive: true }));

  it('must be able to enter every folder on the way to the program; the first closed one is named', () => {
    chmodSync(join(top, 'closed'), 0o700);
    expect(() => checkReadableBy(stranger, join(top, 'closed/src/main.ts'))).toThrow(
      `--user stranger: stranger may not enter ${join(top, 'closed')}, where xsiftr is installed`,
    );
  });

  it('may own it, be in its group, or be anybody where it is open', () => {
    const { uid, gid } = { uid: process.getuid!(), gid: process.getgid!() };
    chmodSync(join(top, 'closed'), 0o711);
    expect(() => checkReadableBy(stranger, join(top, 'closed/src/main.ts'))).not.toThrow();
    chmodSync(join(top, 'closed'), 0o710);
    expect(() => checkReadableBy({ ...stranger, groups: [gid] }, join(top, 'closed/src/main.ts'))).not.toThrow();
    chmodSync(join(top, 'closed'), 0o700);
    expect(() => checkReadableBy({ ...stranger, uid }, join(top, 'closed/src/main.ts'))).not.toThrow();
  });
});
