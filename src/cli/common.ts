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

/** Writes to standard output and waits where it does not take more. False when nobody reads it. */
export async function print(text: string): Promise<boolean> {
  const out = process.stdout;
  if (text === '' || out.destroyed || out.write(text)) return !out.destroyed;
  // events.once would throw where the reader goes away meanwhile.
  await new Promise<void>((resolve) => {
    const done = (): void => {
      for (const event of ['drain', 'close', 'error']) out.off(event, done);
      resolve();
    };
    for (const event of ['drain', 'close', 'error']) out.on(event, done);
  });
  return !out.destroyed;
}

/** Waits `ms` milliseconds. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
