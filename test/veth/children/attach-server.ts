/** Node's http server on the stack of one interface: argv is interface, namespace, port. Says `ready` and ends on SIGINT. */
import { createServer } from 'node:http';
import { attach } from '../../../src/index.ts';

const [iface = '', netns = '', port = '80'] = process.argv.slice(2);
const net = await attach({ iface, netns, logLevel: 'warn' });
const http = createServer((req, res) => {
  let length = 0;
  req.on('data', (chunk: Buffer) => {
    length += chunk.length;
  });
  req.on('end', () => {
    res.setHeader('x-length', length);
    res.end(`${req.method} ${req.url} from ${req.socket.remoteAddress}\n`);
  });
});
const server = net.createServer((socket) => http.emit('connection', socket));
server.listen(Number(port), () => console.log(`ready ${net.attachLine}`));
process.once('SIGINT', async () => {
  server.close();
  await net.close();
  console.log('closed');
});
