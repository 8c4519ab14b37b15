import { oneLine } from '../daemon/errors.ts';
import { main } from './program.ts';

// A reader that went away (`xsiftr kstat | head`) is no error; what is still to be said is said to nobody. Where the system refuses (a full
// disk), that is told once; a running instance goes on.
let told = false;
process.stdout.on('error', (err: NodeJS.ErrnoException) => {
  if (err.code === 'EPIPE' || told) return;
  told = true;
  process.exitCode = 1;
  process.stderr.write(`xsiftr: standard output: ${oneLine(err)}\n`);
});
// There is nowhere left to say it.
process.stderr.on('error', () => {});

/** Entry of `bin/xsiftr`. */
await main(process.argv.slice(2));
