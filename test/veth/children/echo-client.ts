/**
 * Opens one connection from the stack of one interface to an echo server, sends bytes and a FIN, and says as JSON what came back: argv is
 * interface, namespace, address and port of the peer, number of bytes, and sysctls.
 */
import { attach } from '../../../src/index.ts';
import { pattern } from '../../lab/tcpuser.ts';

const [iface = '', netns = '', host = '', port = '0', count = '0', ...sysctl] = process.argv.slice(2);
const net = await attach({ iface, netns, logLevel: 'warn', sysctl });
const sent = Buffer.from(pattern(Number(count)));
const socket = net.connect({ host, port: Number(port) });
socket.end(sent);
const chunks: Buffer[] = [];
for await (const chunk of socket) chunks.push(chunk as Buffer);
const back = Buffer.concat(chunks);
console.log(JSON.stringify({ bytes: back.length, same: back.equals(sent) }));
await net.close();
