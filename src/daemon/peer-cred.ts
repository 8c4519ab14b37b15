import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { NativeSys } from '../driver/native-sys.ts';
import type { Peer } from '../endpoint/endpoint.ts';

/** Who is at the other end of connections over a Unix socket. */
export class PeerCred {
  readonly #native: NativeSys;
  /** Names of users, as asking for one may take its time. */
  readonly #users = new Map<number, string | null>();

  constructor(native: NativeSys) {
    this.#native = native;
  }

  /** The process that connected; null where the kernel does not say. */
  of(s: Socket): Peer | null {
    // Node has no name for the descriptor of a socket, but its handle has it.
    const fd = (s as unknown as { readonly _handle?: { readonly fd?: number } | null })._handle?.fd;
    if (fd === undefined || fd < 0) return null;
    try {
      const { pid, uid } = this.#native.sysPeerCred(fd);
      return { uid, user: this.#user(uid), pid: pid > 0 ? pid : null, command: pid > 0 ? commandOf(pid) : null };
    } catch {
      return null;
    }
  }

  #user(uid: number): string | null {
    let name = this.#users.get(uid);
    if (name === undefined) {
      name = this.#native.sysUserName(uid);
      this.#users.set(uid, name);
    }
    return name;
  }
}

/** The name of a process now: it may become another program, or end, and its number go to another one. */
function commandOf(pid: number): string | null {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').replace(/\n$/, '');
  } catch {
    return null;
  }
}
