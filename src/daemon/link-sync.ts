import type { UnixLink } from '../driver/unix/link.ts';

/** How long a request may take, ms of the machine's clock (spec/endpoint.md, LINKSYNC). */
const LIMIT_MS = 5000;

/** Why a request was not fulfilled: EINVAL (no such link, or no count), ETIMEDOUT, ECANCELED (the stack stops). */
export class LinkSyncError extends Error {
  override readonly name = 'LinkSyncError';
  readonly code: 'EINVAL' | 'ETIMEDOUT' | 'ECANCELED';

  constructor(code: 'EINVAL' | 'ETIMEDOUT' | 'ECANCELED', message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Packets and calls travel on two sockets, so a call made right after a packet was injected could overtake it. Who injects waits until
 * the link has finished with the packet (spec/endpoint.md, LINKSYNC).
 */
export class LinkSync {
  readonly #links: readonly UnixLink[];
  readonly #open: Set<(err: LinkSyncError) => void>;

  constructor(links: readonly UnixLink[]) {
    this.#links = links;
    this.#open = new Set();
  }

  /**
   * Settles once link `index`, in the order of `--iface` from 0 on, has finished with `count` frames since its start, whatever became of
   * them: all that input does at once is done then, and what it sent is on its way to the kernel. Rejects after 5 s.
   * @throws LinkSyncError (a rejection)
   */
  wait(index: number, count: number): Promise<void> {
    const link = this.#links[index];
    return new Promise((resolve, reject) => {
      if (link === undefined) {
        reject(new LinkSyncError('EINVAL', `link ${index}: there are ${this.#links.length} Unix links`));
        return;
      }
      if (!(count >= 0)) {
        reject(new LinkSyncError('EINVAL', `receive count ${count}: not a count`));
        return;
      }
      const fail = (err: LinkSyncError): void => {
        over();
        reject(err);
      };
      const late = setTimeout(() => {
        fail(
          new LinkSyncError('ETIMEDOUT', `link ${index} has received ${link.received} frames of ${count} within 5 s`),
        );
      }, LIMIT_MS);
      let cancel = (): void => {};
      const over = (): void => {
        clearTimeout(late);
        this.#open.delete(fail);
        cancel();
      };
      this.#open.add(fail);
      cancel = link.whenReceived(count, () => {
        over();
        resolve();
      });
    });
  }

  /** Rejects what is open. */
  stop(): void {
    for (const fail of [...this.#open]) fail(new LinkSyncError('ECANCELED', 'the stack stops'));
  }
}
