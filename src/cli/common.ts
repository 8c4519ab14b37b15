import type { Command } from 'commander';
import type { ClientOptions } from './client.ts';

/** Adds the options by which every command finds its running instance. @param short with `-i`, which some commands need themselves */
export function clientOptions(cmd: Command, short = true): Command {
  return cmd
    .option(`${short ? '-i, ' : ''}--iface <IF>`, 'the instance that serves this interface (default: the only one)')
    .option('--netns <NAME>', 'the instance whose interface lives in this network namespace')
    .option('--control <PATH>', 'the instance at this control socket (also XSIFTR_CONTROL)');
}

/** The options that name the instance, given after the command or before it. */
export function instanceOptions(cmd: Command): ClientOptions {
  const { iface, netns, control } = cmd.optsWithGlobals<Omit<ClientOptions, 'iface'> & { iface?: string | string[] }>();
  // Given before the command it is the option of a run, which can be repeated.
  const name = Array.isArray(iface) ? iface.at(-1) : iface;
  return {
    ...(name === undefined ? {} : { iface: name }),
    ...(netns === undefined ? {} : { netns }),
    ...(control === undefined ? {} : { control }),
  };
}

/** Nobody takes what is written to standard output any more. Its `destroyed` never says so. */
let gone = false;

/** Writes to standard output and waits until that is taken. False when it is not: the reader went away, or the disk is full (main.ts). */
export async function print(text: string | Uint8Array): Promise<boolean> {
  if (text.length === 0 || gone) return !gone;
  await new Promise<void>((resolve) => {
    process.stdout.write(text, (err) => {
      gone = err != null;
      resolve();
    });
  });
  return !gone;
}

/** Longest time of one timer, ms. */
const TIMER_MAX = 2 ** 31 - 1;

/** Waits `ms` milliseconds, however many. */
export async function sleep(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= TIMER_MAX) {
    await new Promise((resolve) => setTimeout(resolve, Math.min(left, TIMER_MAX)));
  }
}
