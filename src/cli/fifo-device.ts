import {
  accessSync,
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  open,
  openSync,
  renameSync,
  rmSync,
  type Stats,
} from 'node:fs';
import { Socket } from 'node:net';
import { basename, dirname } from 'node:path';
import { promisify } from 'node:util';
import { SystemError, UserError } from '../daemon/errors.ts';

const { O_NONBLOCK, O_RDONLY, O_WRONLY, W_OK } = constants;
/** O_PATH of open(2), which Node does not name: holds a FIFO without being an end of it. */
const O_PATH = 0o10000000;
/** Readers at a time; a further one waits in its open(2). */
const READERS_MAX = 16;
/** How long a reader may take for what was given to it before the end, ms. */
const LINGER_MS = 1000;

const openAsync = promisify<string, number, number>(open);
const again = (fd: number): string => `/proc/self/fd/${fd}`;

/** One reader's pipe. What it has not taken is at most one sample and what the pipe itself holds (64 KiB). */
class Reader {
  /** Settled when it has left. */
  readonly gone: Promise<void>;
  readonly #socket: Socket;
  readonly #fd: number;
  #head: string;

  constructor(fd: number, head: string) {
    this.#fd = fd;
    this.#head = head;
    const socket = new Socket({ fd, readable: false, writable: true });
    // EPIPE: it has left, which is no error.
    socket.on('error', () => {});
    this.gone = new Promise((resolve) => socket.once('close', () => resolve()));
    this.#socket = socket;
  }

  /** Gives it a sample; false when it has not taken the last one yet. */
  offer(text: string): boolean {
    if (this.#socket.writableLength > 0) return false;
    const all = this.#head + text;
    this.#head = '';
    if (all !== '') this.#socket.write(all);
    else if (!this.#there()) this.#socket.destroy();
    return true;
  }

  /** Only a write tells of a reader that left, or an open that finds none. */
  #there(): boolean {
    try {
      closeSync(openSync(again(this.#fd), O_WRONLY | O_NONBLOCK));
      return true;
    } catch {
      return false;
    }
  }

  /** Ends its file after what it was given, or without that when it takes too long. */
  async end(): Promise<void> {
    this.#socket.end();
    const late = setTimeout(() => this.#socket.destroy(), LINGER_MS);
    await this.gone;
    clearTimeout(late);
  }
}

/** What a device needs of its surroundings. */
export interface DeviceOptions {
  readonly path: string;
  /** What each reader gets first. */
  readonly head: string;
  /** mkfifo(3). */
  mkfifo(path: string, mode: number): void;
}

/**
 * A FIFO that is read as a character device is: whoever opens it gets samples from then on, from their header line to the last one whole, however many
 * read at once. For that each reader gets a pipe of its own: when one has opened the FIFO, a new one takes its place in the folder. A FIFO that was
 * there before is left there, so readers of that one share what comes.
 *
 * Nothing runs while nobody reads: one thread of Node's pool waits in open(2) for a reader.
 */
export class FifoDevice {
  /** Samples that readers did not get because they had not taken the one before. */
  dropped = 0;
  /** Readers so far. */
  served = 0;
  readonly #path: string;
  readonly #options: DeviceOptions;
  /** It was not there before, and goes when we go. */
  readonly #made: boolean;
  readonly #readers = new Set<Reader>();
  readonly #accepting: Promise<void>;
  readonly #onExit = (): void => void this.#release();
  /** The FIFO that the next reader opens, by O_PATH. */
  #pin: number;
  #closed = false;
  #failure: Error | null = null;
  #news: () => void = () => {};

  /**
   * @throws UserError when something else than a FIFO is at the path; SystemError when the system refuses
   */
  constructor(options: DeviceOptions) {
    const { path } = options;
    this.#path = path;
    this.#options = options;
    try {
      const there = lstatSync(path, { throwIfNoEntry: false });
      if (there !== undefined && !there.isFIFO()) {
        throw new UserError(`tcpstats: --device ${path}: that file is no FIFO; give a path that is free, or a FIFO`);
      }
      this.#made = there === undefined;
      if (this.#made) options.mkfifo(path, 0o600);
      else accessSync(path, W_OK);
      this.#pin = openSync(path, O_PATH);
    } catch (err) {
      if (err instanceof UserError) throw err;
      throw new SystemError(`tcpstats: --device ${path}: cannot serve a FIFO there: ${(err as Error).message}`);
    }
    process.once('exit', this.#onExit);
    this.#accepting = this.#accept();
  }

  get readers(): number {
    return this.#readers.size;
  }

  /**
   * Settled when somebody reads, or the signal came.
   * @throws SystemError when the FIFO was taken away or replaced
   */
  async reader(signal: AbortSignal): Promise<void> {
    const wake = (): void => this.#news();
    signal.addEventListener('abort', wake);
    while (this.#readers.size === 0 && this.#failure === null && !signal.aborted) await this.#change();
    signal.removeEventListener('abort', wake);
    if (this.#failure !== null) throw this.#failure;
  }

  /** Gives a sample to every reader that has taken the one before. */
  write(text: string): void {
    for (const r of this.#readers) if (!r.offer(text)) this.dropped++;
  }

  /** Ends the readers' files and takes the FIFO away, if it is ours. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    const stopper = this.#release();
    // It may be waiting for a reader to leave.
    await Promise.all([this.#accepting, ...[...this.#readers].map((r) => r.end())]);
    if (stopper >= 0) closeSync(stopper);
    closeSync(this.#pin);
    process.off('exit', this.#onExit);
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#news = resolve;
    });
  }

  async #accept(): Promise<void> {
    try {
      while (!this.#closed) {
        const fd = await openAsync(again(this.#pin), O_WRONLY);
        if (this.#closed) {
          closeSync(fd);
          return;
        }
        if (this.#made) this.#renew();
        this.#add(new Reader(fd, this.#options.head));
        while (this.#readers.size >= (this.#made ? READERS_MAX : 1) && !this.#closed) {
          await Promise.race([...this.#readers].map((r) => r.gone));
        }
      }
    } catch (err) {
      this.#failure = new SystemError(`tcpstats: --device ${this.#path}: ${(err as Error).message}`);
      this.#news();
    }
  }

  #add(reader: Reader): void {
    this.#readers.add(reader);
    this.served++;
    reader.gone.then(() => this.#readers.delete(reader));
    this.#news();
  }

  /** The FIFO in the folder is still the one that we hold. */
  #ours(): Stats | null {
    const there = lstatSync(this.#path, { throwIfNoEntry: false });
    const { dev, ino } = fstatSync(this.#pin);
    return there !== undefined && there.dev === dev && there.ino === ino ? there : null;
  }

  /** Puts a new FIFO in the place of the one that a reader has opened, with whatever rights somebody gave it since. */
  #renew(): void {
    const old = this.#ours();
    if (old === null) throw new Error('another file has taken its place, or none');
    const path = `${dirname(this.#path)}/.${basename(this.#path)}.${process.pid}`;
    this.#options.mkfifo(path, 0o600);
    const next = openSync(path, O_PATH);
    try {
      const { uid, gid } = fstatSync(next);
      if (uid !== old.uid || gid !== old.gid) chownSync(path, old.uid, old.gid);
      chmodSync(path, old.mode & 0o777);
      renameSync(path, this.#path);
    } catch (err) {
      closeSync(next);
      rmSync(path, { force: true });
      throw err;
    }
    closeSync(this.#pin);
    this.#pin = next;
  }

  /** Takes the FIFO away and ends the wait for a reader, whose thread would otherwise keep the process. Returns the end that did it, or -1. */
  #release(): number {
    this.#closed = true;
    try {
      if (this.#made && this.#ours() !== null) rmSync(this.#path, { force: true });
      return openSync(again(this.#pin), O_RDONLY | O_NONBLOCK);
    } catch {
      return -1;
    }
  }
}
