/**
 * Takes an interface as a start does, without sockets: `guarded.ts NETNS RUNDIR USER|-`. Narrows ix1 to 2 queues and sets its MTU to 1400 under
 * a guard, gives up its rights and prints `ready GUARDPID`. SIGINT ends it in good order; anything else is up to the test.
 */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { startGuard } from '../../../src/driver/guard.ts';
import { readNetdev, setMtu } from '../../../src/driver/netdev.ts';
import { dropPrivileges, lookupUser } from '../../../src/driver/privileges.ts';
import { applyNarrow, planNarrow } from '../../../src/driver/rss.ts';
import { UndoFile } from '../../../src/driver/undo.ts';

const [netns, runDir, user] = process.argv.slice(2) as [string, string, string];
const dev = readNetdev('ix1', netns);
const undo = UndoFile.open(dev, runDir);
const guard = await startGuard(undo, { onLost: (text) => console.log(`lost ${text}`) });
undo.record({ kind: 'unlink', path: `${runDir}/ix1.sock` });
writeFileSync(`${runDir}/ix1.sock`, '');
applyNarrow(planNarrow(dev, 2), dev, undo);
undo.record({ kind: 'mtu', mtu: dev.mtu });
setMtu(dev, 1400);
dropPrivileges(user === '-' ? undefined : lookupUser(user));
console.log(`ready ${guard.pid}`);
const idle = setInterval(() => {}, 1000);
await once(process, 'SIGINT');
clearInterval(idle);
console.log(JSON.stringify(await guard.undo()));
process.exit(0);
