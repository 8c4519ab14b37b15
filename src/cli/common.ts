import type { Command } from 'commander';
import type { ClientOptions } from './client.ts';

/** Adds the options by which every command finds its running instance. */
export function clientOptions(cmd: Command): Command {
  return cmd
    .option('-i, --iface <IF>', 'the instance that serves this interface (default: the only one)')
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

/** Waits `ms` milliseconds. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
