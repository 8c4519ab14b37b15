import { readFileSync } from 'node:fs';

/** The version that package.json states, `0.1.0`; the file lies one folder up in the checkout and in the package alike. */
export const VERSION: string = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version;
