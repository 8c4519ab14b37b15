/** Node's http client on the stack of one interface: argv is interface, namespace, address, number of requests, bytes of each. */
import { Agent, request } from 'node:http';
import type { Duplex } from 'node:stream';
import { attach } from '../../../src/index.ts';

const [iface = '', netns = '', host = '', count = '1', bytes = '0'] = process.argv.slice(2);
const net = await attach({ iface, netns, logLevel: 'warn' });
const body = Buffer.alloc(Number(bytes), 'x');

class StackAgent extends Agent {
  override createConnection(options: { host?: string | null; port?: number | string | null }): Duplex {
    return net.connect({ host: String(options.host), port: Number(options.port) });
  }
}
const agent = new StackAgent({ keepAlive: true, maxSockets: 4 });

function post(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const req = request({ host, port: 8080, path, method: 'POST', agent }, (res) => {
      let text = '';
      res.on('data', (chunk: Buffer) => {
        text += chunk;
      });
      res.on('end', () => resolve(`${res.statusCode} ${res.headers['x-length']} ${text.trim()}`));
    });
    req.on('error', reject);
    req.end(body);
  });
}

const answers = await Promise.all(Array.from({ length: Number(count) }, (_, i) => post(`/${i}`)));
for (const answer of answers) console.log(answer);
const refused = net.connect({ host, port: 81 });
refused.on('error', (err: NodeJS.ErrnoException) => console.log(`refused ${err.code}`));
await new Promise((resolve) => refused.on('close', resolve));
agent.destroy();
await net.close();
console.log('closed');
