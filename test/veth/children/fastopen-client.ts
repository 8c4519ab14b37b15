/**
 * Opens connections to an echo server with TCP Fast Open, one after the other, and says as JSON how many gave back what they got: argv is
 * interface, namespace, address and port of the peer, number of connections, and sysctls.
 */
import { attach } from '../../../src/index.ts';
import { pattern } from '../../lab/tcpuser.ts';

const [iface = '', netns = '', host = '', port = '0', count = '0', ...sysctl] = process.argv.slice(2);
const net = await attach({ iface, netns, logLevel: 'warn', sysctl });
let good = 0;
for (let i = 0; i < Number(count); i++) {
  const sent = Buffer.from(pattern(1000 + i));
  const socket = net.connect({ host, port: Number(port), fastOpen: true });
  socket.end(sent);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  if (Buffer.concat(chunks).equals(sent)) good++;
}
console.log(JSON.stringify({ good }));
await net.close();
