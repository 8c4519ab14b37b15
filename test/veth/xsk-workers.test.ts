import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, test } from 'vitest';
import type { PortInfo } from '../../src/driver/native.ts';
import { QSTAT, QSTAT_WORDS } from '../../src/driver/native.ts';
import { Lab, labMissing } from '../lab/netns.ts';
import { mac, nsPath, packet, Rig, udp } from './xsk-rig.ts';

const missing = labMissing();
const QUEUES = 4;
const FRAMES = 2048;
const UDP = 17;

let lab: Lab;
let rig: Rig;
afterEach(async () => {
  rig?.close();
  await lab?.remove();
});

interface Report {
  readonly queue: number;
  readonly received: number;
  readonly wakes: number;
}

class Served {
  readonly worker: Worker;
  readonly eventfd: number;
  readonly exited: Promise<unknown>;

  private constructor(worker: Worker, eventfd: number) {
    this.worker = worker;
    this.eventfd = eventfd;
    this.exited = new Promise((resolve, reject) => {
      worker.once('exit', resolve);
      worker.once('error', reject);
    });
  }

  static async start(port: PortInfo, queue: number): Promise<Served> {
    const eventfd = rig.native.eventfd();
    const workerData = { port, queue, frames: FRAMES, eventfd };
    const served = new Served(new Worker(new URL('./xsk-worker.ts', import.meta.url), { workerData }), eventfd);
    await Promise.race([served.message(), served.exited]);
    return served;
  }

  message(): Promise<unknown> {
    return new Promise((resolve) => this.worker.once('message', resolve));
  }

  async report(): Promise<Report> {
    const answer = this.message();
    rig.native.kick(this.eventfd);
    return (await answer) as Report;
  }
}

async function stationOf(ns: 'near' | 'far'): Promise<Buffer> {
  return mac((await lab[ns](`cat /sys/class/net/${ns === 'near' ? 'ix1' : 'peer0'}/address`)).stdout.trim());
}

describe.skipIf(missing)(`worker threads${missing && ` (${missing})`}`, () => {
  test('four workers on four queues of one UMEM receive every frame that was sent to their queue', async () => {
    lab = await Lab.create('xskw', { queues: QUEUES });
    rig = new Rig(2 * QUEUES * FRAMES);
    const port = rig.open({ netns: nsPath(lab.nearNs), queues: QUEUES, exclusive: true });
    const workers = await Promise.all([0, 1, 2, 3].map((queue) => Served.start(port, queue)));
    const far = rig.open({ ifname: 'peer0', netns: nsPath(lab.farNs), queues: QUEUES });
    const ends = {
      srcMac: await stationOf('far'),
      dstMac: await stationOf('near'),
      src: '192.0.2.2',
      dst: '192.0.2.1',
    };
    const datagram = packet(ends, UDP, udp(1, 9, Buffer.alloc(22)));
    const stats = new Float64Array(QSTAT_WORDS);
    rig.skipFrames(QUEUES * FRAMES);
    for (let queue = 0; queue < QUEUES; queue++) {
      const sender = rig.serve(far, queue, FRAMES);
      // In portions that the sleeping worker's ring holds, so that a loss would be ours.
      for (let sent = 500; sent <= 1000 * (queue + 1); sent += 500) {
        sender.send(Array(500).fill(datagram));
        await expect
          .poll(() => {
            rig.native.queueStats(port.port, queue, stats);
            return stats[QSTAT.rx_packets];
          })
          .toBeGreaterThanOrEqual(sent);
      }
    }
    const reports = await Promise.all(workers.map((worker) => worker.report()));
    for (const { queue, received, wakes } of reports) {
      rig.native.queueStats(port.port, queue, stats);
      expect(stats[QSTAT.rx_packets]).toBe(received);
      expect(stats[QSTAT.rx_ring_full]! + stats[QSTAT.rx_fill_ring_empty_descs]! + stats[QSTAT.rx_dropped]!).toBe(0);
      expect(received).toBeGreaterThanOrEqual(1000 * (queue + 1));
      expect(received).toBeLessThan(1000 * (queue + 1) + 10);
      expect(wakes).toBeLessThan(received);
    }
    await Promise.all(workers.map((worker) => worker.report()));
    await Promise.all(workers.map((worker) => worker.exited));
  });

  test('a worker that is terminated gives its queue back, and another serves it on', async () => {
    lab = await Lab.create('xskw', { queues: 1 });
    rig = new Rig(2 * FRAMES);
    const port = rig.open({ netns: nsPath(lab.nearNs), exclusive: true });
    for (let round = 0; round < 3; round++) {
      const served = await Served.start(port, 0);
      expect(() => rig.native.closePort(port.port)).toThrow(expect.objectContaining({ code: 'EBUSY' }));
      await served.worker.terminate();
      rig.native.closeFd(served.eventfd);
    }
    rig.native.closePort(port.port);
  });
});
