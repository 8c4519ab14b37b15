import { expect, test } from 'vitest';
import { Counters } from '../../../src/daemon/counters.ts';
import { CLAIMED_WORDS, type Native } from '../../../src/driver/native.ts';
import { RELEASE_ERROR_US } from '../../../src/metrics/decl/dummynet.ts';
import { dns } from '../../../src/metrics/layout.ts';
import { renderKstat } from '../../../src/views/kstat.ts';

/** An addon whose sockets counted nothing, with `dropped` frames for us on the queues that no socket serves. */
function nativeWith(dropped: Readonly<Record<number, number>>): Native {
  const calls: Partial<Native> = {
    queueStats: (_port, _queue, out) => void out.fill(0),
    queueRings: (_port, _queue, out) => void out.fill(0),
    claimedDropped: (_port, out) => {
      out.fill(0);
      for (const [queue, n] of Object.entries(dropped)) out[Number(queue)] = n;
    },
  };
  return calls as Native;
}

/** Unit and value of each claimed_dropped that kstat shows. */
function claimed(dropped: Readonly<Record<number, number>>, queues: number, present: number): [number, number][] {
  const counters = new Counters(nativeWith(dropped), [{ name: 'ix1', port: 0, queues, present }], queues);
  return counters
    .kstat()
    .flatMap((e) =>
      e.kvs.filter((kv) => kv.key === 'claimed_dropped').map((kv): [number, number] => [e.unit, kv.value]),
    );
}

test('frames for us that were dropped on a queue that was left out are shown under that queue', () => {
  expect(claimed({ 3: 7 }, 2, 4)).toEqual([
    [0, 0],
    [1, 0],
    [2, 0],
    [3, 7],
  ]);
});

test('a queue that was not there at the start is shown once a frame for us was dropped on it', () => {
  expect(claimed({ 5: 1, [CLAIMED_WORDS - 1]: 2 }, 1, 1)).toEqual([
    [0, 0],
    [5, 1],
    [64, 2],
  ]);
});

test('how late pipes were is shown for each shard that had one at work, by classes', () => {
  const counters = new Counters(nativeWith({}), [{ name: 'ix1', port: 0, queues: 2, present: 2 }], 2);
  const block = counters.shard(1);
  block[dns.dn_release_error + RELEASE_ERROR_US.indexOf(10)] = 3;
  block[dns.dn_release_error + RELEASE_ERROR_US.length] = 1;
  block[dns.dn_release_error + RELEASE_ERROR_US.length + 1] = 200_021.4;
  const text = renderKstat(counters.kstat(), ['dn-release']);
  const lines = text.split('\n').map((line) => line.trim());
  expect(lines[0]).toBe('ix1:0:dn-release:1');
  expect(lines).toContain('10 us: 3 packets');
  expect(lines).toContain('100000 us: 0 packets');
  expect(lines.slice(-3)).toEqual(['more: 1 packets', 'sum in us: 200021', '']);
});
