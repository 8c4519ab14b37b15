/**
 * poll(2) over descriptors: each shard looks after its own sockets. Where several have a part, each is asked to wait, and the first that finds
 * something ends it for all.
 *
 *   pollfd  | i32 fd | i16 events | i16 revents |      little-endian, as on the x86-64 host (poll.h)
 */
import { EINVAL } from '../stack/errno.ts';
import { failure, malformed, type Reply, type Request, success } from './codec.ts';
import type { Endpoint } from './endpoint.ts';
import { POLLNVAL } from './linux.ts';
import type { CoreReply } from './operations.ts';

const POLLFD = 8;

/** What one shard is asked: the sockets, and the places of their entries in the list. */
interface Part {
  readonly shard: number;
  readonly items: { sid: number; events: number }[];
  readonly places: number[];
}

/** @returns what ends it before its time, or null when it has ended */
export function pollDescriptors(ep: Endpoint, req: Request, done: (r: Reply) => void): (() => void) | null {
  const nfds = req.a;
  const list = req.payload;
  if (nfds < 0 || list.length !== nfds * POLLFD) {
    done(nfds < 0 ? failure(EINVAL) : malformed());
    return null;
  }
  const v = new DataView(list.buffer, list.byteOffset, list.length);
  const parts = new Map<number, Part>();
  let n = 0;
  for (let i = 0; i < nfds; i++) {
    const fd = v.getInt32(i * POLLFD, true);
    const events = v.getInt16(i * POLLFD + 4, true);
    v.setInt16(i * POLLFD + 6, 0, true);
    // A negative one is to be passed over.
    if (fd < 0) continue;
    const d = ep.fds.get(fd);
    if (d === null) {
      v.setInt16(i * POLLFD + 6, POLLNVAL, true);
      n++;
      continue;
    }
    let part = parts.get(d.shard);
    if (part === undefined) {
      part = { shard: d.shard, items: [], places: [] };
      parts.set(d.shard, part);
    }
    part.items.push({ sid: d.sid, events });
    part.places.push(i);
  }
  const us = n > 0 ? 0 : req.b < 0 ? -1 : req.b * 1000;
  if (parts.size === 0) {
    if (us === 0) {
      done(success(n, list));
      return null;
    }
    // Nothing to look at: it is a sleep, which a shard's clock measures.
    parts.set(0, { shard: 0, items: [], places: [] });
  }
  let left = parts.size;
  let over = false;
  const under = new Map<number, number>();
  const stop = (): void => {
    over = true;
    for (const [id, shard] of [...under]) ep.cores[shard]!.cancel(id);
  };
  for (const part of parts.values()) {
    const id = ep.nextId();
    under.set(id, part.shard);
    const answered = (r: CoreReply): void => {
      under.delete(id);
      const found = new DataView(r.payload.buffer, r.payload.byteOffset, r.payload.length);
      part.places.forEach((place, k) => {
        // A socket that was closed meanwhile is none any more.
        const revents = r.ret < 0 ? POLLNVAL : found.getInt16(2 * k, true);
        v.setInt16(place * POLLFD + 6, revents, true);
        if (revents !== 0) n++;
      });
      if (--left === 0) done(success(n, list));
      else stop();
    };
    ep.cores[part.shard]!.poll(id, part.items, over ? 0 : us, answered);
  }
  return left > 0 ? stop : null;
}
