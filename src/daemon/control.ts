import { chmodSync, mkdirSync, unlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { lookAt } from '../driver/unix/socket-file.ts';
import type { DnctlReply } from '../dummynet/control.ts';
import type { SsWanted } from '../views/ss-filter.ts';
import type { SysctlChange, SysctlRow } from '../views/sysctl.ts';
import type { DropWanted, Flow } from './drop-slice.ts';
import { exitCodeOf, isRefusal, SystemError, UserError } from './errors.ts';

/**
 * The control server: HTTP on a Unix socket of mode 0600 for every command that talks to a running stack (DESIGN.md, "Control").
 *
 *   GET  /info                    what runs here (InstanceInfo of src/cli/client.ts)
 *   GET  /sysctl                  every tunable: name, value, description
 *   POST /sysctl                  {name, value} → {name, old, new} or {name, old, error}
 *   GET  /kstat?sel=…&sel=…       text of kstat(1)
 *   POST /dnctl                   {words, quiet, files} → {text, notes}: a command of dnctl (src/dummynet/command.ts)
 *   GET  /ss?a=0|1&l=0|1&w=…&w=…  connections, a line of JSON each (ConnRecord of src/views/conn.ts); w: the words of the filter
 *   GET  /tcpstats?f=…&f=…&a=0|1&w=…   one sample of the connections, a line of JSON each (StatRecord of src/views/tcpstats.ts); f: the fields
 *   POST /tcpdrop                 {state?, cc?, list?} → connections dropped (or to drop), a line of JSON each (Flow of drop-slice.ts)
 *                                 {laddr, lport, faddr, fport} → {dropped}: that one
 *   GET  /netstat?s=0|1|2&a=0|1&p=NAME   text of netstat(1)
 */

/** What the routes call; the daemon implements it. `UserError` becomes status 400. */
export interface ControlHandlers {
  info(): object;
  sysctlList(): SysctlRow[] | Promise<SysctlRow[]>;
  sysctlSet(name: string, value: string): Promise<SysctlChange>;
  /** @param files content of the files that `words` name */
  dnctl(words: readonly string[], quiet: boolean, files: Readonly<Record<string, string>>): Promise<DnctlReply>;
  kstat(selectors: readonly string[]): string;
  /** Lines of JSON, as they are asked for. Throws for a filter that is none. */
  ss(words: readonly string[], wanted: SsWanted): AsyncIterable<string>;
  /** Lines of JSON with these columns. Throws for a filter or a column that is none. */
  tcpstats(columns: readonly string[], words: readonly string[], wanted: SsWanted): AsyncIterable<string>;
  /** Drops connections, as lines of JSON are asked for that tell which. Throws for a congestion control that is not loaded. */
  tcpdrop(wanted: DropWanted): AsyncIterable<string>;
  /** False when there is none. */
  tcpdropOne(flow: Flow): Promise<boolean>;
  /** @param statistics 0 connections, 1 `-s`, 2 `-ss` */
  netstat(statistics: number, all: boolean, protocol: string | null): Promise<string>;
}

/** Bytes of a dnctl request: it carries trace files. */
const FILES_MAX = 2 ** 26;

const sysctlBody = z.strictObject({ name: z.string(), value: z.string() });
const dnctlBody = z.strictObject({
  words: z.array(z.string()),
  quiet: z.boolean(),
  files: z.record(z.string(), z.string()),
});
const kstatQuery = z.object({ sel: z.union([z.string(), z.array(z.string())]).optional() });
const ssQuery = z.object({
  a: z.enum(['0', '1']).default('0'),
  l: z.enum(['0', '1']).default('0'),
  w: z.union([z.string(), z.array(z.string())]).default([]),
});
const statsQuery = ssQuery.omit({ l: true }).extend({ f: ssQuery.shape.w });
const port = z.int().min(1).max(65535);
const dropOneBody = z.strictObject({ laddr: z.ipv4(), lport: port, faddr: z.ipv4(), fport: port });
const dropBody = z.strictObject({
  state: z.int().min(2).max(10).optional(),
  cc: z.string().optional(),
  list: z.boolean().default(false),
});
const netstatQuery = z.object({
  s: z.enum(['0', '1', '2']).default('0'),
  a: z.enum(['0', '1']).default('0'),
  p: z.string().optional(),
});

/** Checks a request's input; what does not fit is the client's mistake. */
function checked<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  throw new UserError(`${issue.path.join('.') || 'request'}: ${issue.message}`);
}

/** Routes of the control server on a fresh fastify instance. */
export async function controlServer(handlers: ControlHandlers): Promise<FastifyInstance> {
  const { fastify } = await import('fastify');
  const app = fastify({ logger: false, forceCloseConnections: true });
  app.setErrorHandler((err, _req, reply) => {
    const refused = isRefusal(err) && exitCodeOf(err) === 2;
    const status = refused ? 400 : ((err as { statusCode?: number }).statusCode ?? 500);
    return reply.status(status).send({ message: (err as Error).message });
  });
  app.get('/info', async () => handlers.info());
  app.get('/sysctl', async () => handlers.sysctlList());
  app.post('/sysctl', async (req) => {
    const body = checked(sysctlBody, req.body);
    return handlers.sysctlSet(body.name, body.value);
  });
  app.post('/dnctl', { bodyLimit: FILES_MAX }, async (req) => {
    const body = checked(dnctlBody, req.body);
    return handlers.dnctl(body.words, body.quiet, body.files);
  });
  app.get('/kstat', async (req, reply) => {
    const { sel } = checked(kstatQuery, req.query);
    return reply.type('text/plain').send(handlers.kstat(sel === undefined ? [] : Array.isArray(sel) ? sel : [sel]));
  });
  app.get('/ss', async (req, reply) => {
    const q = checked(ssQuery, req.query);
    const lines = handlers.ss(typeof q.w === 'string' ? [q.w] : q.w, { all: q.a === '1', listening: q.l === '1' });
    return reply.type('application/x-ndjson').send(Readable.from(lines));
  });
  app.get('/tcpstats', async (req, reply) => {
    const q = checked(statsQuery, req.query);
    const lines = handlers.tcpstats([q.f].flat(), [q.w].flat(), { all: q.a === '1' });
    return reply.type('application/x-ndjson').send(Readable.from(lines));
  });
  app.post('/tcpdrop', async (req, reply) => {
    const body = req.body as object | null;
    if (body !== null && typeof body === 'object' && 'laddr' in body) {
      return { dropped: await handlers.tcpdropOne(checked(dropOneBody, body)) };
    }
    const lines = handlers.tcpdrop(checked(dropBody, body));
    return reply.type('application/x-ndjson').send(Readable.from(lines));
  });
  app.get('/netstat', async (req, reply) => {
    const q = checked(netstatQuery, req.query);
    return reply.type('text/plain').send(await handlers.netstat(Number(q.s), q.a === '1', q.p ?? null));
  });
  return app;
}

/** Makes `app` listen at `path`, see `listenUnix`. */
export function listenControl(app: FastifyInstance, path: string): Promise<void> {
  return listenUnix('--control', path, () => app.listen({ path }));
}

/**
 * Has `listen` make a socket at `path` with mode 0600 (its directory 0755). A socket that a dead process left is replaced.
 * @param option that the path was given with, for messages
 * @throws UserError when another process listens there or another file is there; SystemError when the system refuses
 */
export async function listenUnix(option: string, path: string, listen: () => Promise<unknown>): Promise<void> {
  const found = await lookAt(path);
  if (found === 'live') {
    throw new UserError(
      `${option} ${path}: another process listens there; give this instance a path of its own with ${option}`,
    );
  }
  if (found === 'file') throw new UserError(`${option} ${path}: that file is no socket; give a path that is free`);
  const mask = process.umask(0o177);
  try {
    process.umask(0o022);
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    process.umask(0o177);
    if (found === 'stale') unlinkSync(path);
    await listen();
    chmodSync(path, 0o600);
  } catch (err) {
    throw new SystemError(`${option} ${path}: cannot listen there: ${(err as Error).message}`);
  } finally {
    process.umask(mask);
  }
}
