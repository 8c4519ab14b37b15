import type { Server as HttpServer, IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from '../../net/index.ts';
import type { Service, ServiceHost } from './host.ts';
import { statusPage } from './status-page.ts';

/** Largest N of /bytes/N: 2^40. */
export const MAX_BYTES = 2 ** 40;

/** Payload of /bytes/N: the byte at position p of the body is p modulo 251, so that a reader can check any part of it. */
const BLOCK = 251 * 256;
const block = Buffer.alloc(BLOCK);
for (let i = 0; i < BLOCK; i++) block[i] = i % 251;

/** N of `/bytes/N`; undefined when it is no decimal number of 0 .. 2^40. */
export function parseBytes(text: string): number | undefined {
  if (!/^\d{1,13}$/.test(text)) return undefined;
  const n = Number(text);
  return n <= MAX_BYTES ? n : undefined;
}

function line(res: ServerResponse, status: number, text: string, headers: Record<string, string> = {}): void {
  const body = `${text}\n`;
  res.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': body.length, ...headers });
  res.end(body);
}

function sendBytes(res: ServerResponse, n: number): void {
  let left = n;
  const more = (): void => {
    while (left > 0) {
      const len = Math.min(left, BLOCK);
      left -= len;
      if (!res.write(len === BLOCK ? block : block.subarray(0, len)) && left > 0) {
        res.once('drain', more);
        return;
      }
    }
    res.end();
  };
  more();
}

function answer(host: ServiceHost, req: IncomingMessage, res: ServerResponse): void {
  const path = (req.url ?? '/').split('?', 1)[0] ?? '/';
  if (req.method !== 'GET' && req.method !== 'HEAD') {
    line(res, 405, `405 method ${req.method} is not served here; use GET or HEAD`, { Allow: 'GET, HEAD' });
    return;
  }
  if (path === '/') {
    const body = Buffer.from(statusPage(host.status(), host.shard, host.nshards));
    res.writeHead(200, {
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Length': body.length,
      'Cache-Control': 'no-store',
    });
    res.end(body);
    return;
  }
  if (path.startsWith('/bytes/')) {
    const text = path.slice('/bytes/'.length);
    const n = parseBytes(text);
    if (n === undefined) {
      line(res, 400, `400 /bytes/${text.slice(0, 40)}: N must be a decimal number of bytes, 0 to ${MAX_BYTES}`);
      return;
    }
    res.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': n });
    if (req.method === 'HEAD') res.end();
    else sendBytes(res, n);
    return;
  }
  line(res, 404, '404 nothing here; there are / and /bytes/N');
}

/** Made at the first connection: Node's HTTP takes 5 MB a thread, which an idle shard can do without. */
function makeServer(host: ServiceHost): HttpServer {
  const { createServer } = process.getBuiltinModule('node:http');
  const server = createServer({ keepAliveTimeout: 30_000 }, (req, res) => answer(host, req, res));
  // a request whose sender has sent FIN behind it (nc, HTTP/1.0 clients) gets its whole answer
  Object.assign(server, { httpAllowHalfOpen: true });
  // silence of a minute ends a connection, whether the request or the reader of the answer is slow
  server.setTimeout(60_000);
  return server;
}

/** HTTP/1.1 by Node's own parser on the stack: `/` a status page, `/bytes/N` N bytes. */
export const http: Service = {
  name: 'http',
  port: 80,
  start(host) {
    let server: HttpServer | null = null;
    const open = new Set<Socket>();
    const listener = host.transport.listen({ addr: 0, port: http.port, fastOpen: true }, (so) => {
      const socket = new Socket(host.transport, { allowHalfOpen: true, noDelay: true }, so);
      open.add(socket);
      socket.once('close', () => open.delete(socket));
      server ??= makeServer(host);
      server.emit('connection', socket);
      return socket.handler;
    });
    return {
      stop() {
        host.transport.enter();
        listener.close();
        for (const socket of open) socket.resetAndDestroy();
      },
    };
  },
};
