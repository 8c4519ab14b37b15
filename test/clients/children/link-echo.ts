/**
 * Opens a connection from a stack on a Unix link to an echo server, sends bytes, and says as JSON what came back: argv is the link as
 * `--iface` has it, address and port of the server, number of bytes. The FIN goes when all is back: passt (2023-03, as in Debian 12) loses
 * its place in a stream whose guest has sent one.
 */
import { attach } from '../../../src/index.ts';
import { pattern } from '../../lab/tcpuser.ts';

const [iface = '', host = '', port = '0', count = '0'] = process.argv.slice(2);
const net = await attach({ iface, logLevel: 'warn' });
const sent = Buffer.from(pattern(Number(count)));
const socket = net.connect({ host, port: Number(port) });
socket.write(sent);
const chunks: Buffer[] = [];
let got = 0;
for await (const chunk of socket) {
  chunks.push(chunk as Buffer);
  got += (chunk as Buffer).length;
  if (got >= sent.length) socket.end();
}
const back = Buffer.concat(chunks);
console.log(JSON.stringify({ bytes: back.length, same: back.equals(sent), uid: process.getuid?.() }));
await net.close();
