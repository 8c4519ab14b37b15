import { failure, type Reply, success } from '../endpoint/codec.ts';
import { ECANCELED, EOPNOTSUPP } from '../endpoint/linux.ts';
import { EINVAL, ETIMEDOUT } from '../stack/errno.ts';
import { LinkSyncError } from './link-sync.ts';
import type { EndpointAsks, FromShard } from './messages.ts';
import type { Shard } from './shard.ts';

/** What the socket endpoint asks of a shard, and its answers. */
export function askEndpoint(shard: Shard, msg: EndpointAsks, post: (msg: FromShard) => void): void {
  const { endpoint } = shard;
  if (endpoint === null) return;
  const { id } = msg;
  const done = (reply: Reply): void => post({ kind: 'socketReply', id, reply });
  switch (msg.kind) {
    case 'linksync':
      void linkSync(shard, msg.index, msg.count).then(done);
      return;
    case 'clock':
      void clock(shard, msg.what, msg.us).then(done);
      return;
    default:
  }
  shard.enter();
  if (msg.kind === 'socket') endpoint.request(id, msg.request, done);
  else if (msg.kind === 'poll') endpoint.poll(id, msg.items, msg.us, done);
  else endpoint.cancel(id);
}

const LINK_ERRNO = { EINVAL, ETIMEDOUT, ECANCELED } as const;

async function linkSync(shard: Shard, index: number, count: number): Promise<Reply> {
  try {
    await shard.linkSync.wait(index, count);
    return success();
  } catch (err) {
    if (!(err instanceof LinkSyncError)) throw err;
    return failure(LINK_ERRNO[err.code]);
  }
}

/** CLOCK: 0 read, 1 set virtual, 2 advance. */
async function clock(shard: Shard, what: number, us: number): Promise<Reply> {
  const { time } = shard;
  if (what < 0 || what > 2 || (what === 2 && us < 0)) return failure(EINVAL);
  try {
    if (what === 1) time.setVirtual();
    else if (what === 2) await time.advance(us);
    else if (!time.virtual) shard.enter();
  } catch {
    // A stack on a network has the network's time, and time that nobody stopped cannot be moved.
    return failure(EOPNOTSUPP);
  }
  const payload = new Uint8Array(8);
  new DataView(payload.buffer).setBigUint64(0, BigInt(Math.floor(time.read())));
  return success(0, payload);
}
