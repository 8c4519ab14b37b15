/**
 * Gives up its rights with many threads about: `poor.ts USER|-`. Prints one JSON line: what every thread holds then, a worker started
 * afterwards and a child program included, and what was refused.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { loadNative } from '../../../src/driver/native.ts';
import { checkPrivileges, dropPrivileges, lookupUser } from '../../../src/driver/privileges.ts';

const user = process.argv[2]!;
checkPrivileges(null);

const idle = new Worker('setInterval(() => {}, 1)', { eval: true });
const spinning = new Worker('for (;;);', { eval: true });
// Always a few of these in the pool's threads.
let reading = true;
const readers = Array.from({ length: 8 }, async () => {
  while (reading) await readFile(process.execPath.replace(/[^/]+$/, '../package.json')).catch(() => {});
});
await sleep(200);

const changed = dropPrivileges(user === '-' ? undefined : lookupUser(user));
const late = new Worker('setInterval(() => {}, 1)', { eval: true });
await new Promise((resolve) => late.once('online', resolve));

const threads = readdirSync('/proc/self/task').map((tid) => {
  const status = readFileSync(`/proc/self/task/${tid}/status`, 'utf8');
  const held: Record<string, string> = {};
  for (const m of status.matchAll(
    /^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Uid|Gid|Groups):[ \t]*(.*?)[ \t]*$/gm,
  )) {
    held[m[1]!] = m[2]!.replace(/\s+/g, ' ');
  }
  return held;
});
const child = execFileSync('grep', ['CapEff', '/proc/self/status'], { encoding: 'utf8' }).trim();

const refusals: string[] = [];
const attempt = (fn: () => unknown): void => {
  try {
    fn();
    refusals.push('allowed');
  } catch (err) {
    refusals.push((err as NodeJS.ErrnoException).code ?? String(err));
  }
};
attempt(() => loadNative().sysSetMtu('lo', 65536));
attempt(() => process.setuid!(process.getuid!() === 0 ? 12345 : 0));
attempt(() => checkPrivileges(null));
// A second time there is nothing to give up.
const again = dropPrivileges();

reading = false;
await Promise.all(readers);
console.log(JSON.stringify({ changed, again, threads, child, refusals }));
for (const w of [idle, spinning, late]) await w.terminate();
process.exit(0);
