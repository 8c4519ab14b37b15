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
  const { runDaemon } = await import('../daemon/run.ts');
  return runDaemon(options);
}
