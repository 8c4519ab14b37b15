import { main } from './program.ts';

/** Entry of `bin/xsiftr`. */
await main(process.argv.slice(2));
