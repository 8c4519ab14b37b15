import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * The far end of a Unix link, as a test writes it: length and bytes (spec/endpoint.md, "Link"). Nothing here comes from src/.
 */

/** A frame as it goes over the stream: u32 big-endian length, then the bytes. */
export function framed(bytes: Uint8Array | readonly number[]): Buffer {
  const out = Buffer.alloc(4 + bytes.length);
  out.writeUInt32BE(bytes.length, 0);
  out.set(bytes, 4);
  return out;
}

export class UnixPeer {
  readonly socket: Socket;
  /** Frames that came and were not asked for. */
  readonly frames: Buffer[] = [];
  /** The stream has ended. */
  ended = false;
  #rest: Buffer = Buffer.alloc(0);
  readonly #waiting = new Set<() => void>();

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      this.#rest = Buffer.concat([this.#rest, chunk]);
      while (this.#rest.length >= 4) {
        const length = this.#rest.readUInt32BE(0);
        if (this.#rest.length < 4 + length) break;
        this.frames.push(this.#rest.subarray(4, 4 + length));
        this.#rest = this.#rest.subarray(4 + length);
      }
      this.#wake();
    });
    socket.on('close', () => {
      this.ended = true;
      this.#wake();
    });
  }

  /** Connects to the server at `path`. */
  static async connect(path: string): Promise<UnixPeer> {
    const socket = connect(path);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new UnixPeer(socket);
  }

  send(...frames: (Uint8Array | readonly number[])[]): void {
    this.socket.write(Buffer.concat(frames.map(framed)));
  }

  /** Waits until `ready` says so, looking at each event of the stream. */
  until(ready: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!ready()) return;
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
  }

  /** The next frame for which `wanted` is true; those before it are dropped. */
  async next(wanted: (frame: Buffer) => boolean = () => true): Promise<Buffer> {
    for (;;) {
      await this.until(() => this.frames.length > 0 || this.ended);
      const frame = this.frames.shift();
      if (frame === undefined) throw new Error('the stream has ended');
      if (wanted(frame)) return frame;
    }
  }

  close(): void {
    this.socket.destroy();
  }

  #wake(): void {
    for (const look of [...this.#waiting]) look();
  }
}

/** A server of the test's own, for links that connect. */
export async function listenAt(path: string, accept: (peer: UnixPeer) => void): Promise<Server> {
  const server = createServer((s) => accept(new UnixPeer(s)));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  return server;
}

/** A directory for sockets, removed by `remove`. */
export function socketDir(): { path: (name: string) => string; remove: () => void } {
  const dir = mkdtempSync(join(tmpdir(), 'xsiftr-unix-'));
  return { path: (name) => join(dir, name), remove: () => rmSync(dir, { recursive: true, force: true }) };
}
