import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** What a finished command gave. */
export interface Result {
  readonly stdout: string;
  readonly stderr: string;
  /** Exit code, or 128 + the signal's number as a shell has it. */
  readonly code: number;
}

export interface RunOptions {
  /** Throw when the exit code is not 0 (default true). */
  readonly check?: boolean;
  /** Text for the command's standard input (default: none). */
  readonly input?: string | Uint8Array;
  /** Milliseconds until SIGKILL (default 60 000). */
  readonly timeout?: number;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

/** Signals that a test may see as an exit code. */
const SIGNAL_NUMBERS: Record<string, number> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGTERM: 15,
};

/** A child that has been started and may still run. Its two outputs are kept, line by line. */
export class Running {
  readonly child: ChildProcess;
  /** The command as words, for messages. */
  readonly words: readonly string[];
  /** Lines of standard output so far. */
  readonly lines: string[] = [];
  /** Lines of standard error so far. */
  readonly errorLines: string[] = [];
  /** Settles with the exit code once the process has ended and both outputs are read. */
  readonly exited: Promise<number>;
  /** The exit code, or null while it runs. */
  code: number | null = null;
  private readonly watchers = new Set<() => void>();

  constructor(words: readonly string[], options: RunOptions = {}) {
    this.words = words;
    // A process group of its own, so that stop() reaches its children too and a terminal's Ctrl-C reaches only us.
    this.child = spawn(words[0]!, words.slice(1), {
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
      env: options.env ?? process.env,
      cwd: options.cwd,
    });
    this.child.stdin!.on('error', () => {});
    this.child.stdin!.end(options.input ?? '');
    const collect = (stream: NodeJS.ReadableStream, into: string[]) =>
      createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', (line) => {
        into.push(line);
        for (const watcher of this.watchers) watcher();
      });
    collect(this.child.stdout!, this.lines);
    collect(this.child.stderr!, this.errorLines);
    this.exited = new Promise((resolve, reject) => {
      this.child.on('error', reject);
      this.child.on('close', (code, signal) => {
        this.code = code ?? 128 + (SIGNAL_NUMBERS[signal ?? ''] ?? 0);
        for (const watcher of this.watchers) watcher();
        resolve(this.code);
      });
    });
    this.exited.catch(() => {});
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /**
   * The first line, past or to come, of either output that matches.
   * @throws when the process ends or `timeout` milliseconds pass first; the message has the output.
   */
  waitLine(pattern: RegExp, timeout = 20_000): Promise<string> {
    return new Promise((resolve, reject) => {
      const done = () => {
        clearTimeout(timer);
        this.watchers.delete(look);
      };
      const fail = (why: string) => {
        done();
        reject(new Error(`${this.words.join(' ')}: ${why}, waiting for ${pattern}\n${this.output()}`));
      };
      const look = () => {
        const found =
          this.lines.find((line) => pattern.test(line)) ?? this.errorLines.find((line) => pattern.test(line));
        if (found !== undefined) {
          done();
          resolve(found);
        } else if (this.code !== null) {
          fail(`ended with ${this.code}`);
        }
      };
      const timer = setTimeout(() => fail(`nothing after ${timeout} ms`), timeout);
      this.watchers.add(look);
      this.child.once('error', (error) => fail(error.message));
      look();
    });
  }

  /** Both outputs as text, for messages. */
  output(): string {
    return [...this.lines, ...this.errorLines].join('\n');
  }

  /** Sends a signal to the process alone. */
  signal(signal: NodeJS.Signals): void {
    if (this.code === null && this.pid > 0) this.child.kill(signal);
  }

  /** Ends it by `signal`, by SIGKILL to its whole group after `patience` milliseconds; gives the exit code. */
  async stop(signal: NodeJS.Signals = 'SIGINT', patience = 10_000): Promise<number> {
    this.signal(signal);
    const timer = setTimeout(() => this.killGroup(), patience);
    try {
      return await this.exited;
    } finally {
      clearTimeout(timer);
    }
  }

  /** SIGKILL to the process and all that it started. For clean-up; does not wait. */
  killGroup(): void {
    if (this.pid === 0) return;
    try {
      process.kill(-this.pid, 'SIGKILL');
    } catch {
      // Nothing of the group is left.
    }
  }
}

/**
 * Runs a command to its end. A string goes through `sh -c`.
 * @throws Error with both outputs when it fails and `check` is not false.
 */
export async function run(command: string | readonly string[], options: RunOptions = {}): Promise<Result> {
  const words = typeof command === 'string' ? ['sh', '-c', command] : command;
  const running = new Running(words, options);
  const timer = setTimeout(() => running.killGroup(), options.timeout ?? 60_000);
  let code: number;
  try {
    code = await running.exited;
  } finally {
    clearTimeout(timer);
  }
  const result = { stdout: running.lines.join('\n'), stderr: running.errorLines.join('\n'), code };
  if (code !== 0 && options.check !== false) {
    throw new Error(`${words.join(' ')}: exit ${code}\n${running.output()}`);
  }
  return result;
}
