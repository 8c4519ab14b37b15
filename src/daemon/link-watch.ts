import { statSync } from 'node:fs';
import { netnsHandle } from '../driver/netns.ts';
import { SystemError } from './errors.ts';
import type { Logger } from './logger.ts';

/** Bits of `Native.linkFlags` (netdevice(7)). */
const IFF_UP = 0x1;
const IFF_RUNNING = 0x40;

/** How often to look, ms: often enough for a person who waits, too rarely to be noticed by the packets. */
export const LINK_LOOK_MS = 1000;

/** What a watch looks at, and whom it tells. */
export interface LinkWatchOptions {
  /** Name of the interface, for the lines. */
  readonly name: string;
  /** Names of the network namespaces that this process keeps alive. */
  readonly namespaces: readonly string[];
  /** `Native.linkFlags` of the port. */
  readonly flags: () => number;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** The link went down or came up. */
  readonly changed: (up: boolean) => void;
  /** The interface is no more. Called once; nothing is told after it. */
  readonly gone: (err: SystemError) => void;
}

/**
 * Watches an interface that is taken: a socket whose interface is gone or down is as silent as one without traffic. So its flags are read
 * now and then by the main thread, beside the packets, through a socket of its namespace that was opened with the port.
 *
 * A network namespace that is deleted lives on as long as a process has a socket in it, and so does what is in it. It is to go when it is deleted:
 * its name is looked at too.
 */
export class LinkWatch {
  readonly #options: LinkWatchOptions;
  readonly #namespaces: readonly { name: string; path: string; inode: number }[];
  #up = true;
  #gone = false;

  /** Throws DriverError ENONETNS when a namespace is no more. */
  constructor(options: LinkWatchOptions) {
    this.#options = options;
    this.#namespaces = options.namespaces.map((name) => {
      const { path, inode } = netnsHandle(name);
      return { name, path: path!, inode };
    });
  }

  /** Looks now. */
  look(): void {
    if (this.#gone) return;
    const { name, log } = this.#options;
    const flags = this.#options.flags();
    if (flags < 0) {
      this.#end(
        new SystemError(`the interface ${name} is gone: it was removed, or moved to another network namespace`),
      );
      return;
    }
    const deleted = this.#namespaces.find((n) => isDeleted(n.path, n.inode));
    if (deleted !== undefined) {
      this.#end(new SystemError(`the network namespace ${deleted.name} was deleted, and ${name} goes with it`));
      return;
    }
    const up = (flags & IFF_UP) !== 0 && (flags & IFF_RUNNING) !== 0;
    if (up === this.#up) return;
    this.#up = up;
    if (up) log.info(`${name}: link state changed to UP`);
    else
      log.warn(
        `${name}: link state changed to DOWN (${(flags & IFF_UP) === 0 ? 'the interface was set down' : 'no carrier'})`,
      );
    this.#options.changed(up);
  }

  #end(err: SystemError): void {
    this.#gone = true;
    this.#options.gone(err);
  }
}

/** Whether the name of a namespace is gone, or means another one by now. What may not be looked at is taken for unchanged. */
function isDeleted(path: string, inode: number): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.ino !== inode;
  } catch {
    return false;
  }
}
