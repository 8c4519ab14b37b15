import { writeFileSync } from 'node:fs';
import { parseRunOptions, readConfig } from '../daemon/options.ts';

/**
 * `xsiftr --iface …`: checks the options and runs until it is told to stop.
 * @param given values by camelCase key, as commander gives them
 * @returns the exit status
 */
export async function runCommand(given: Readonly<Record<string, unknown>>): Promise<number> {
  const { config, ...rest } = given;
  const file = typeof config === 'string' ? { name: config, values: await readConfig(config) } : undefined;
  const options = parseRunOptions(rest, file);
  nameProcess();
  const { runDaemon } = await import('../daemon/run.ts');
  return runDaemon(options);
}

/** Lets `ps`, `top` and `pgrep -x` know the process as xsiftr; Node calls it MainThread. Its arguments stay as they are. */
function nameProcess(): void {
  try {
    writeFileSync('/proc/self/comm', 'xsiftr');
  } catch {
    // Without /proc it keeps the name.
  }
}
