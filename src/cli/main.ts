import { main } from './program.ts';

// A reader that went away (`xsiftr kstat | head`) is no error; what is still to be said is said to nobody.
process.stdout.on('error', (err: NodeJS.ErrnoException) => {
  if (err.code !== 'EPIPE') throw err;
});

/** Entry of `bin/xsiftr`. */
await main(process.argv.slice(2));
