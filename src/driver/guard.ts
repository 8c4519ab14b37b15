import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { DriverError } from './driver-error.ts';
import { netnsPath } from './netns.ts';
import type { UndoFile } from './undo.ts';

/** What the guard put back (`mtu 1500`) and what it could not. */
export interface GuardResult {
  done: string[];
  failed: string[];
}

export interface GuardOptions {
  /** The program; default: beside the addon in the build folder. */
  exe?: string;
  /** Called with one line when the guard ends by itself: nobody would undo then. */
  onLost?: (text: string) => void;
}

/** Beside the addon, for src/driver and dist/driver alike. */
function guardPath(): string {
  const path = fileURLToPath(new URL('../../build/Release/xsiftr-guard', import.meta.url));
  if (!existsSync(path)) throw new DriverError('EGUARD', `the guard ${path} is not built; run make build`);
  return path;
}

/**
 * Starts the guard (native/guard.c) for an undo file and resolves once it stands in the interface's namespace with CAP_NET_ADMIN and
 * nothing else. It holds the other end of a socket that only this process has: when this process ends, however, it undoes.
 *
 * Start it before the first change and before privileges are dropped. Throws DriverError EGUARD.
 */
export async function startGuard(undo: UndoFile, options: GuardOptions = {}): Promise<Guard> {
  const exe = options.exe ?? guardPath();
  const { netns, peer } = undo.target;
  const path = (name: string | null | undefined): string => (name ? netnsPath(name) : '-');
  // A peer without a namespace of its own is in the interface's, where the guard will be.
  const args = [undo.path, undo.runDir, path(netns), path(peer?.netns)];
  const child = spawn(exe, args, { stdio: ['pipe', 'pipe', 'inherit'], detached: true, env: {}, cwd: '/' });
  const guard = new Guard(child, options.onLost);
  await guard.ready();
  return guard;
}

/** The running guard. */
export class Guard {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #onLost: ((text: string) => void) | undefined;
  #out = '';
  #finishing = false;
  #ended = false;
  #wake: (() => void) | null = null;

  constructor(child: ChildProcess, onLost?: (text: string) => void) {
    this.#child = child;
    this.#onLost = onLost;
    this.pid = child.pid ?? -1;
    child.stdout!.setEncoding('utf8');
    child.stdout!.on('data', (text: string) => {
      this.#out += text;
      this.#wake?.();
    });
    // A guard that is gone answers with EPIPE; its exit says all that is to say.
    child.stdin!.on('error', () => {});
    const end = (text: string): void => {
      if (this.#ended) return;
      this.#ended = true;
      this.#wake?.();
      if (!this.#finishing) this.#onLost?.(text);
    };
    child.on('error', (err) => end(`the guard could not be started: ${err.message}`));
    child.on('close', (code, signal) =>
      end(
        `the guard (pid ${this.pid}) ended by ${signal ?? `exit status ${code}`}; should xsiftr die now, run xsiftr restore`,
      ),
    );
    // The guard is no reason to stay alive.
    child.unref();
    for (const stream of [child.stdin!, child.stdout!]) (stream as unknown as { unref(): void }).unref();
  }

  /** Resolves when the guard has said that it stands. Used by {@link startGuard}. */
  async ready(): Promise<void> {
    this.#finishing = true;
    await this.#until(() => this.#ended || this.#out.includes('\n'));
    const line = this.#out.split('\n', 1)[0]!;
    if (this.#ended || line !== 'ready') {
      throw new DriverError('EGUARD', `the guard did not start${line === '' ? '' : `: ${line}`}`);
    }
    this.#finishing = false;
    this.#out = '';
  }

  /** Clean end: the guard undoes everything now, removes the undo file and exits. Call it after the XDP program is detached. */
  async undo(): Promise<GuardResult> {
    return this.#end('u');
  }

  /** The guard exits without undoing: everything was undone already (start-up that failed half-way). */
  async dismiss(): Promise<void> {
    await this.#end('k');
  }

  async #end(command: 'u' | 'k'): Promise<GuardResult> {
    this.#finishing = true;
    if (!this.#ended) this.#child.stdin!.write(command);
    await this.#until(() => this.#ended);
    const result: GuardResult = { done: [], failed: [] };
    for (const line of this.#out.split('\n')) {
      if (line.startsWith('done ')) result.done.push(line.slice(5));
      else if (line.startsWith('failed ')) result.failed.push(line.slice(7));
    }
    if (command === 'u' && !/^end$/m.test(this.#out)) result.failed.push('the guard was gone; run xsiftr restore');
    return result;
  }

  /** Waits for `done`; the streams keep the process alive meanwhile. */
  async #until(done: () => boolean): Promise<void> {
    this.#child.ref();
    const out = this.#child.stdout as unknown as { ref(): void; unref(): void };
    out.ref();
    while (!done()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#wake = null;
    this.#child.unref();
    out.unref();
  }
}
