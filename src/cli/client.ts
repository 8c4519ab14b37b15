import { readdirSync, readlinkSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { SystemError, UserError } from '../daemon/errors.ts';
import { CONTROL_LINK, RUN_DIR, trustedDir, USER_RUN_DIR } from '../daemon/paths.ts';

/** How commands find a running xsiftr and talk to it: HTTP on its control socket (DESIGN.md, "Control"). */

/** What an instance says of itself on `GET /info`. */
export interface InstanceInfo {
  readonly version: string;
  readonly pid: number;
  /** Name and number of the user that the process runs as, and its command name. */
  readonly user: string;
  readonly uid: number;
  readonly command: string;
  readonly iface: string;
  /** All its interfaces, by which it is found. */
  readonly ifaces?: readonly string[];
  /** Name of the network namespace that the interface lives in, null where it has none. */
  readonly netns: string | null;
  readonly queues: number;
  readonly addresses: readonly string[];
  /** Seconds since it was started. */
  readonly uptime: number;
  /** It forwards packets; false while it is still being set up or already stops. */
  readonly ready: boolean;
}

/** A running instance and where it listens. */
export interface Instance {
  readonly path: string;
  readonly info: InstanceInfo;
}

/** The answer of an instance. */
export interface Reply {
  readonly status: number;
  readonly text: string;
}

/** Options that every command for a running instance has. */
export interface ClientOptions {
  readonly iface?: string;
  readonly netns?: string;
  readonly control?: string;
}

/**
 * One request to the control socket at `path`. `body` is sent as JSON.
 * @throws Error with the `code` of the socket (ENOENT, ECONNREFUSED, EACCES) when nobody answers
 */
export function call(path: string, method: 'GET' | 'POST', url: string, body?: unknown): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const headers = payload === undefined ? {} : { 'content-type': 'application/json' };
    const req = request({ socketPath: path, method, path: url, headers, timeout: 10_000 }, (res) => {
      const chunks: Buffer[] = [];
      res.on('data', (c: Buffer) => chunks.push(c));
      res.on('end', () => resolve({ status: res.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }));
      res.on('error', reject);
    });
    req.on('timeout', () => req.destroy(new Error('no answer within 10 s')));
    req.on('error', reject);
    req.end(payload);
  });
}

/** The instance behind `path`, or null when nobody answers there. */
export async function probe(path: string): Promise<Instance | null> {
  try {
    const reply = await call(path, 'GET', '/info');
    return reply.status === 200 ? { path, info: JSON.parse(reply.text) as InstanceInfo } : null;
  } catch {
    return null;
  }
}

/** Where instances may be: those of root, and the user's own. */
const RUN_DIRS: readonly string[] = [...new Set([RUN_DIR, USER_RUN_DIR])];

/** The sockets of a run directory, and those elsewhere that a link of it leads to. */
function sockets(dir: string): string[] {
  let names: string[];
  try {
    names = trustedDir(dir) ? readdirSync(dir) : [];
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    if (name.endsWith('.sock')) return `${dir}/${name}`;
    try {
      return name.endsWith(CONTROL_LINK) ? readlinkSync(`${dir}/${name}`) : [];
    } catch {
      // Its instance has ended meanwhile.
      return [];
    }
  });
}

/** Every instance that the run directories know of and that answers, by interface name. */
export async function instances(dirs: string | readonly string[] = RUN_DIRS): Promise<Instance[]> {
  const found = await Promise.all([...new Set([dirs].flat().flatMap(sockets))].map(probe));
  return found.filter((i) => i !== null).sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
}

/** The interface of an instance, with its namespace. */
function nameOf({ info }: Instance): string {
  return info.netns === null ? info.iface : `${info.iface} in namespace ${info.netns}`;
}

/** One line an instance, for people. */
export function describe(i: Instance): string {
  const addr = i.info.addresses.length === 0 ? 'no address' : i.info.addresses.join(' ');
  return `${nameOf(i)}: pid ${i.info.pid}, ${i.info.queues} queue${i.info.queues === 1 ? '' : 's'}, ${addr}, control ${i.path}`;
}

/** The socket that `--control` names, or XSIFTR_CONTROL where no other option names an instance; undefined for none. */
export function controlOf(opts: ClientOptions, env: NodeJS.ProcessEnv = process.env): string | undefined {
  if (opts.control !== undefined) return opts.control;
  return opts.iface === undefined && opts.netns === undefined ? env.XSIFTR_CONTROL || undefined : undefined;
}

/**
 * The instance that the options name, ready or not, or null while there is none: the one at `--control` or XSIFTR_CONTROL, the one
 * that fits `--iface` and `--netns`, or the only one there is.
 * @throws UserError when there are more to choose from, with what chooses each; and when another one than named is at the socket
 */
export async function lookUp(
  opts: ClientOptions,
  env: NodeJS.ProcessEnv = process.env,
  dirs: string | readonly string[] = RUN_DIRS,
): Promise<Instance | null> {
  const fits = ({ info }: Instance): boolean =>
    (opts.iface === undefined || (info.ifaces ?? [info.iface]).includes(opts.iface)) &&
    (opts.netns === undefined || info.netns === opts.netns);
  const path = controlOf(opts, env);
  if (path !== undefined) {
    const there = await probe(path);
    if (there !== null && !fits(there)) {
      throw new UserError(`${given(opts)}: ${nameOf(there)} is what runs at ${path}; leave out what does not fit it`);
    }
    return there;
  }
  const all = (await instances(dirs)).filter(fits);
  if (all.length < 2) return all[0] ?? null;
  const what = given(opts);
  const choices = all.map((i) => `${choice(i, all)} (pid ${i.info.pid})`);
  throw new UserError(
    `${what === '' ? '' : `${what}: `}${all.length} instances are running; choose one with ${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}`,
  );
}

/**
 * The same where there must be one.
 * @throws UserError when there is none, with what there is; SystemError when nobody answers at the socket
 */
export async function findInstance(opts: ClientOptions, env: NodeJS.ProcessEnv = process.env): Promise<Instance> {
  const found = await lookUp(opts, env);
  if (found !== null) return found;
  const path = controlOf(opts, env);
  if (path !== undefined) {
    const from = opts.control === undefined ? `XSIFTR_CONTROL=${path}` : `--control ${path}`;
    throw new SystemError(`${from}: no xsiftr answers there${await reason(path)}; ${await whatThereIs()}`);
  }
  const what = given(opts);
  if (what !== '') throw new UserError(`${what}: no running xsiftr serves it; ${await whatThereIs()}`);
  throw new UserError(`no xsiftr is running${await deniedHint()}; start one with xsiftr --iface IF`);
}

/** `--iface` and `--netns` as given, for messages. */
function given({ iface, netns }: ClientOptions): string {
  return [
    ...(iface === undefined ? [] : [`--iface ${iface}`]),
    ...(netns === undefined ? [] : [`--netns ${netns}`]),
  ].join(' ');
}

/** The least to add on the command line that leaves `i` alone of `all`. An interface outside of named namespaces has its socket only. */
function choice(i: Instance, all: readonly Instance[]): string {
  const { iface, netns } = i.info;
  const sameIface = all.filter((o) => o.info.iface === iface);
  if (sameIface.length === 1) return `--iface ${iface}`;
  if (netns === null || sameIface.filter((o) => o.info.netns === netns).length > 1) return `--control ${i.path}`;
  return all.filter((o) => o.info.netns === netns).length === 1
    ? `--netns ${netns}`
    : `--iface ${iface} --netns ${netns}`;
}

/** Bytes of the words in a request; the server takes 16 KiB with what HTTP adds. */
const URL_MAX = 15_000;

/** Throws UserError for words that are too many for a request. */
function checkLength(url: string): void {
  if (url.length > URL_MAX) throw new UserError(`${url.length} bytes of words; at most ${URL_MAX} are taken`);
}

/** The text of a request that must succeed; a refusal of the instance becomes the UserError or SystemError that it stands for. */
export async function ask(i: Instance, method: 'GET' | 'POST', url: string, body?: unknown): Promise<string> {
  checkLength(url);
  let reply: Reply;
  try {
    reply = await call(i.path, method, url, body);
  } catch (err) {
    throw new SystemError(`${i.info.iface}: the instance at ${i.path} does not answer: ${(err as Error).message}`);
  }
  if (reply.status === 200) return reply.text;
  const message = messageOf(reply);
  throw reply.status === 400 ? new UserError(message) : new SystemError(message);
}

function messageOf(reply: Reply): string {
  try {
    const parsed = JSON.parse(reply.text) as { message?: unknown };
    if (typeof parsed.message === 'string') return parsed.message;
  } catch {
    // Not JSON: the text itself says what there is to say.
  }
  return reply.text.trim() || `the instance answered with status ${reply.status}`;
}

/** How an answer of lines is asked for. */
export interface LineOptions {
  /** Breaks the request off. */
  readonly signal?: AbortSignal;
}

/**
 * The lines of an answer as they come, refusals as `ask` has them. With a `body` it is a POST.
 * @throws SystemError when the answer breaks off; its `cause` is the socket's error
 */
export async function* askLines(
  i: Instance,
  url: string,
  body?: unknown,
  options: LineOptions = {},
): AsyncGenerator<string> {
  checkLength(url);
  const broken = (err: unknown): SystemError =>
    new SystemError(`${i.info.iface}: the instance at ${i.path} does not answer: ${(err as Error).message}`, {
      cause: err,
    });
  const res = await new Promise<IncomingMessage>((resolve, reject) => {
    const post = body === undefined ? {} : { method: 'POST', headers: { 'content-type': 'application/json' } };
    const req = request({ socketPath: i.path, path: url, timeout: 10_000, ...post, ...options }, resolve);
    req.on('timeout', () => req.destroy(new Error('no answer within 10 s')));
    req.on('error', (err) => reject(broken(err)));
    req.end(body === undefined ? undefined : JSON.stringify(body));
  });
  // From here on silence may be our own, of a reader (`| less`) that takes its time; an instance that dies closes the connection.
  res.socket.setTimeout(0);
  res.setEncoding('utf8');
  if (res.statusCode !== 200) {
    let text = '';
    for await (const chunk of res) text += chunk;
    const message = messageOf({ status: res.statusCode ?? 0, text });
    throw res.statusCode === 400 ? new UserError(message) : new SystemError(message);
  }
  let rest = '';
  try {
    for await (const chunk of res) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop()!;
      yield* lines;
    }
  } catch (err) {
    throw broken(err);
  }
  if (rest !== '') yield rest;
}

async function whatThereIs(): Promise<string> {
  const all = await instances();
  return all.length === 0 ? 'none is running' : `running: ${all.map(nameOf).join(', ')}`;
}

async function reason(path: string): Promise<string> {
  try {
    await call(path, 'GET', '/info');
    return '';
  } catch (err) {
    const code = (err as NodeJS.ErrnoException).code;
    return code === 'EACCES'
      ? ' (permission denied; it is for root and its owner)'
      : code === undefined
        ? ''
        : ` (${code})`;
  }
}

async function deniedHint(): Promise<string> {
  return process.getuid?.() === 0 ? '' : ' that this user may talk to (control sockets are for root)';
}
