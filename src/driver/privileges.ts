import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DriverError } from './driver-error.ts';
import { loadNative } from './native.ts';

/** A user of the system, with the groups that it is in (its own first). */
export interface Account {
  name: string;
  uid: number;
  gid: number;
  groups: number[];
}

/** Capabilities that set-up needs, by the number that capability.h gives them. */
const NEEDED: readonly (readonly [string, number])[] = [
  ['CAP_NET_ADMIN', 12],
  ['CAP_NET_RAW', 13],
  ['CAP_BPF', 39],
];
const CAP_SYS_ADMIN = 21;

/** User `name` of passwd(5), or a numeric uid that it knows. Throws DriverError ENOUSER. */
export function lookupUser(name: string): Account {
  const found = loadNative().sysLookupUser(name);
  if (found === null) {
    throw new DriverError('ENOUSER', `--user ${name}: no such user; give a name that getent passwd lists`);
  }
  return { name, uid: found.uid, gid: found.gid, groups: found.groups };
}

/**
 * The shards are started as the user that we become, so that user must be able to read the program. Throws DriverError EUNREADABLE that
 * names the first folder on the way to `file` that the account may not enter.
 */
export function checkReadableBy(account: Account, file: string, what = 'where xsiftr is installed'): void {
  if (account.uid === 0) return;
  for (let dir = dirname(file); ; dir = dirname(dir)) {
    const { mode, uid, gid } = statSync(dir);
    const bit = uid === account.uid ? 0o100 : gid === account.gid || account.groups.includes(gid) ? 0o010 : 0o001;
    if ((mode & bit) === 0) {
      throw new DriverError(
        'EUNREADABLE',
        `--user ${account.name}: ${account.name} may not enter ${dir}, ${what}; open it (chmod o+x ${dir}), or leave --user out`,
      );
    }
    if (dir === dirname(dir)) return;
  }
}

/** Throws DriverError ENOPERM unless this thread may do all that set-up does. `netns`: an other namespace is to be entered as well. */
export function checkPrivileges(netns: string | null): void {
  const [low, high] = loadNative().sysCapabilities();
  const has = (n: number): boolean => ((n < 32 ? low >>> n : high >>> (n - 32)) & 1) === 1;
  // CAP_SYS_ADMIN stands for CAP_BPF, which kernels before 5.8 do not have.
  const missing = NEEDED.filter(([, n]) => !has(n) && !(n === 39 && has(CAP_SYS_ADMIN))).map(([name]) => name);
  if (netns !== null && !has(CAP_SYS_ADMIN)) missing.push('CAP_SYS_ADMIN (for --netns)');
  if (missing.length > 0) {
    throw new DriverError(
      'ENOPERM',
      `taking an interface over needs root: ${missing.join(', ')} missing; run it with sudo`,
    );
  }
}

/**
 * Gives up every capability in every thread of the process, for ever (bounding set, no_new_privs, locked securebits), and with `account`
 * becomes that user too. Do it when all sockets are open and the guard runs; threads made later inherit the poverty. docs/privileges.md
 * says who holds what when.
 *
 * Returns the number of threads that were changed. Throws DriverError EPRIVILEGE when a thread kept anything: end the process then.
 */
export function dropPrivileges(account?: Account): number {
  try {
    return loadNative().sysDropPrivileges(account?.uid ?? -1, account?.gid ?? -1, account?.groups ?? []);
  } catch (err) {
    throw new DriverError('EPRIVILEGE', `cannot give up privileges: ${(err as Error).message}`);
  }
}
