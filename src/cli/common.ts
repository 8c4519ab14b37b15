import type { Command } from 'commander';

/** Adds the options by which every command finds its running instance. */
export function clientOptions(cmd: Command): Command {
  return cmd
    .option('-i, --iface <IF>', 'the instance that serves this interface (default: the only one)')
    .option('--control <PATH>', 'the instance at this control socket (also XSIFTR_CONTROL)');
}

/** Waits `ms` milliseconds. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
