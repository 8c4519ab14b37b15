import { getHeapStatistics } from 'node:v8';
import { parentPort, workerData } from 'node:worker_threads';
import { loadNative } from '../driver/native.ts';
import { loadCcUrls } from '../load/cc-load.ts';
import { askEndpoint } from './endpoint-shard.ts';
import { trimHeap } from './heap.ts';
import type { FromShard, ShardRequest, ToShard } from './messages.ts';
import { Shard } from './shard.ts';
import type { ShardSetup } from './shard-setup.ts';

/** The thread of a shard: makes it and passes messages between it and the main thread. */
async function run(): Promise<void> {
  const port = parentPort;
  if (port === null) throw new Error('shard-thread: to be started as a worker');
  const post = (msg: FromShard): void => port.postMessage(msg);
  const setup = workerData as ShardSetup;
  await loadCcUrls(setup.cc.urls);
  const shard = new Shard(loadNative(), setup, {
    log: (level, text) => post({ kind: 'log', level, text }),
    broadcast: post,
    failed: (err) => {
      // Out of the loop's hands: as an uncaught error it ends this thread, and with it the process.
      setImmediate(() => {
        throw err;
      });
    },
  });

  const answer = (req: ShardRequest): unknown => {
    switch (req.op) {
      case 'pcbs':
        return shard.pcbs();
      case 'conns':
        return shard.conns(req.what, req.cursor);
      case 'stats':
        return shard.stats(req.cursor, req.fields);
      case 'drop':
        return shard.drop(req.cursor, req);
      case 'dropFlow':
        return shard.dropFlow(req.laddr, req.lport, req.faddr, req.fport);
      case 'tune':
        return shard.setTunables(req.fields);
      case 'tables':
        return shard.tables();
      case 'cc':
        return shard.setCc(req.name);
      case 'tfoKey':
        return shard.setTfoKey(req.key);
      case 'siftr':
        return shard.siftr(req.on, req.enableUs);
      case 'siftrCut':
        return shard.siftrCut(req.enableUs);
      case 'siftrRing':
        return shard.siftrRing(req.ring);
      case 'dummynet':
        return shard.changeDummynet(req.change);
      case 'dummynetReport':
        return shard.dummynetReport();
      case 'link':
        return shard.setLink(req.ifIndex, req.up);
      case 'drain':
        return shard.drain();
      case 'stop':
        return shard.stop();
      case 'ping':
        return getHeapStatistics().used_heap_size;
    }
  };
  port.on('message', (msg: ToShard) => {
    switch (msg.kind) {
      case 'request':
        break;
      case 'socket':
      case 'poll':
      case 'cancel':
      case 'linksync':
      case 'clock':
        askEndpoint(shard, msg, post);
        return;
      default:
        shard.receive(msg);
        return;
    }
    try {
      post({ kind: 'reply', seq: msg.seq, value: answer(msg) });
    } catch (err) {
      post({ kind: 'reply', seq: msg.seq, error: (err as Error).stack ?? String(err) });
    }
  });
  trimHeap();
  await shard.start();
  post({ kind: 'ready' });
}

await run();
