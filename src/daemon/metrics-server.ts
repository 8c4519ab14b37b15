import type { FastifyInstance } from 'fastify';
import { SystemError } from './errors.ts';
import type { HostPort } from './option-values.ts';

/** What the HTTP server of `--metrics` shows. */
export interface MetricsHandlers {
  /** The text of /metrics and its content type. */
  metrics(): Promise<{ contentType: string; body: string }>;
  /** Body of /healthz; `ok` false makes it status 503. */
  health(): Promise<{ ok: boolean } & Record<string, unknown>>;
}

/** Server of `/metrics` and `/healthz`; also the place of the live page. */
export async function metricsServer(handlers: MetricsHandlers): Promise<FastifyInstance> {
  const { fastify } = await import('fastify');
  const app = fastify({ logger: false, forceCloseConnections: true });
  app.get('/metrics', async (_req, reply) => {
    const { contentType, body } = await handlers.metrics();
    return reply.header('content-type', contentType).send(body);
  });
  app.get('/healthz', async (_req, reply) => {
    const health = await handlers.health();
    return reply.status(health.ok ? 200 : 503).send(health);
  });
  app.get('/', async (_req, reply) => reply.type('text/plain').send('xsiftr: see /metrics and /healthz\n'));
  return app;
}

/**
 * Makes the server listen. @throws SystemError with one line when the port is taken or the address is not ours
 */
export async function listenMetrics(app: FastifyInstance, at: HostPort): Promise<void> {
  try {
    await app.listen({ host: at.host, port: at.port });
  } catch (err) {
    const code = (err as NodeJS.ErrnoException).code;
    const text = `${at.host}:${at.port}`;
    if (code === 'EADDRINUSE') {
      throw new SystemError(
        `--metrics ${text}: port in use; choose another one, as --metrics ${at.host}:${at.port + 1}, or --metrics none`,
      );
    }
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
      throw new SystemError(
        `--metrics ${text}: ${at.host} is no address of this machine; use 127.0.0.1:${at.port}, or --metrics none`,
      );
    }
    throw new SystemError(
      `--metrics ${text}: cannot listen there (${code ?? (err as Error).message}); choose another address, or --metrics none`,
    );
  }
}
