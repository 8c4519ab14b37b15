import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { counter } from '../lab/counters.ts';
import { Lab, labMissing, pingReplies, startXsiftr, type Xsiftr } from '../lab/netns.ts';

/** iputils' ping, which checks what comes back by itself. */
describe.skipIf(labMissing('ping')).each([1, 4])('ping on %i queues', (queues) => {
  let lab: Lab;
  let x: Xsiftr;

  beforeAll(async () => {
    lab = await Lab.create('cping', { queues });
    x = await startXsiftr(lab, ['--sysctl', 'net.inet.icmp.icmplim=0']);
  });

  afterAll(async () => {
    await x?.stop();
    await lab?.remove();
  });

  async function ping(words: string): Promise<string> {
    return (await lab.far(`ping ${words} 192.0.2.1`, { check: false })).stdout;
  }

  // With -c, ping waits for the last reply twice as long as any has taken, and no less than its interval.
  test('five requests of 0 to 1472 bytes with a pattern have five replies that ping finds nothing wrong with', async () => {
    const sizes = [0, 1, 7, 8, 55, 56, 57, 100, 511, 512, 1000, 1471, 1472];
    const all = await Promise.all(sizes.map((size) => ping(`-c 5 -i 1 -W 2 -p a55a -s ${size}`)));
    for (const [i, out] of all.entries()) {
      expect(out, `${sizes[i]} bytes`).toContain('5 packets transmitted, 5 received, 0% packet loss');
      expect(out, `${sizes[i]} bytes`).not.toMatch(/wrong|corrupt|error|DUP/i);
    }
  });

  test('two thousand requests in a flood are all answered, once each', async () => {
    const before = await counter(x, 'icmp_reflect');
    // With -w it goes on until so many replies have come: a request or two more when the last ones are late.
    const out = await ping('-f -c 2000 -w 30');
    const sent = Number(/(\d+) packets transmitted/.exec(out)![1]);
    expect(pingReplies(out)).toBeGreaterThanOrEqual(2000);
    expect(out).not.toMatch(/duplicates|corrupt/);
    // Each of those has its answer, too, which ping does not wait for.
    await expect.poll(() => counter(x, 'icmp_reflect')).toBe(before + sent);
  });

  test('a hundred requests sent before the first reply is awaited are all answered', async () => {
    expect(await ping('-c 100 -l 100 -i 1 -W 2')).toContain('100 packets transmitted, 100 received');
  });

  test('the reply keeps the type of service and has the TTL of net.inet.ip.ttl', async () => {
    const dump = lab.spawnFar(['tcpdump', '-nlvi', 'peer0', '-c', '1', 'icmp[0] == 0']);
    await dump.waitLine(/listening on/);
    expect(await ping('-c 1 -Q 0x48 -W 2')).toContain('ttl=64');
    await dump.exited;
    expect(dump.lines.join(' ')).toMatch(/tos 0x48, ttl 64/);
  });

  test('a request to the broadcast address has no reply', async () => {
    const out = (await lab.far('ping -b -c 2 -i 0.05 -W 1 192.0.2.255', { check: false })).stdout;
    expect(out).toContain('2 packets transmitted, 0 received');
  });

  test('an idle answer takes less than 5 ms in the median', async () => {
    const out = await ping('-c 21 -i 0.02 -W 2');
    const times = [...out.matchAll(/time=([\d.]+) ms/g)].map((m) => Number(m[1])).sort((a, b) => a - b);
    expect(times).toHaveLength(21);
    expect(times[10]).toBeLessThan(5);
  });
});
