/**
 * Opens connections from the stack of one interface to Linux, and says in JSON lines what came of them: argv is interface, namespace,
 * address of the peer, first port of servers.py, and sysctls.
 */
import { once } from 'node:events';
import { attach, type Socket } from '../../../src/index.ts';
import { pattern } from '../../lab/tcpuser.ts';

const [iface = '', netns = '', host = '', first = '0', ...sysctl] = process.argv.slice(2);
const port = Number(first);
const net = await attach({ iface, netns, logLevel: 'warn', sysctl });
const say = (what: string, value: unknown): void => console.log(JSON.stringify([what, value]));

async function drain(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function echo(bytes: number): Promise<[number, boolean]> {
  const sent = Buffer.from(pattern(bytes));
  const socket = net.connect({ host, port });
  socket.end(sent);
  const back = await drain(socket);
  return [back.length, back.equals(sent)];
}

/** How a connection that is to fail ends. */
function failure(to: string, toPort: number, send?: Buffer): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect({ host: to, port: toPort });
    socket.on('error', (err: NodeJS.ErrnoException) => resolve(`${err.code} ${err.syscall}`));
    socket.on('close', () => resolve('closed'));
    socket.resume();
    if (send !== undefined) socket.write(send);
  });
}

const sizes = [0, 1, 1447, 1448, 1449, 1460, 65_536, 20_000_000];
const echoes = [];
for (const n of sizes) echoes.push(await echo(n));
say('echo', echoes);

say('line', String(await drain(net.connect({ host, port: port + 1 }))));

const many = await Promise.all(Array.from({ length: 300 }, (_, i) => echo(500 + i)));
say('many', many.filter(([n, same], i) => same && n === 500 + i).length);

say('refused', await failure(host, port + 9));
say('reset', await failure(host, port + 2, Buffer.alloc(100)));

// The kernel of the peer takes the data of a connection that its program never accepts, until its buffer is full.
const stuck = net.connect({ host, port: port + 3 });
await once(stuck, 'connect');
stuck.write(Buffer.alloc(3_000_000));
await new Promise((resolve) => setTimeout(resolve, 6500));
say('stuck', stuck.writableLength > 0);
stuck.resetAndDestroy();

const from = performance.now();
say('nobody', await failure('192.0.2.99', 80));
say('patience', Math.round((performance.now() - from) / 1000));

await new Promise((resolve) => setTimeout(resolve, 1500));
const text = net.netstat();
const count = (label: RegExp): number => Number(label.exec(text)?.[1] ?? 0);
say('netstat', {
  requests: count(/(\d+) connection requests?/),
  established: count(/(\d+) connections? established/),
  retransmitted: count(/(\d+) data packets? \(\d+ bytes?\) retransmitted/),
  probes: count(/(\d+) tail loss probes? sent/),
  persist: count(/(\d+) persist timeouts?/),
  unfit: count(/(\d+) discarded for bad checksums?/),
});
await net.close();
say('end', 0);
