import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { changes, counter, framesHome, readCounters } from '../lab/counters.ts';
import { Lab, labMissing, pingReplies, startXsiftr, type Xsiftr } from '../lab/netns.ts';
import { raw } from '../lab/peer.ts';

/** IP and ICMP on a veth pair with Linux as the peer. */
describe.skipIf(labMissing('ping', 'python3', 'nstat'))('IP and ICMP with Linux as the peer', () => {
  let lab: Lab;
  let x: Xsiftr;

  beforeAll(async () => {
    lab = await Lab.create('vip');
    x = await startXsiftr(lab, ['--exclusive', '--sysctl', 'net.inet.icmp.icmplim=0']);
    await lab.far('ping -c 1 -W 2 192.0.2.1');
  });

  afterAll(async () => {
    await x?.stop();
    await lab?.remove();
  });

  test('echo requests of every size that fits a frame, 0 to 1472 bytes, come back unchanged (RFC 1122 section 3.2.2.6)', async () => {
    const before = await readCounters(x);
    expect(await raw(lab, 'ping_sweep', 0, 1472)).toEqual({ good: 1473, wrong: [] });
    expect(changes(before, await readCounters(x))).toMatchObject({
      'icmp_in_messages:8': 1473,
      'icmp_out_messages:0': 1473,
      icmp_reflect: 1473,
    });
    await framesHome(x);
  });

  test('a request with DF of the full MTU is answered', async () => {
    const r = await lab.far('ping -c 3 -i 0.05 -w 10 -M do -s 1472 192.0.2.1');
    expect(pingReplies(r.stdout)).toBeGreaterThanOrEqual(3);
  });

  test('each fragment of a longer request is dropped and counted, as there is no reassembly', async () => {
    // The second announcement, 2 s after the first, is not to fall into the count.
    await expect.poll(() => counter(x, 'arp_announced'), { timeout: 5000 }).toBe(2);
    const before = await readCounters(x);
    expect((await lab.far('ping -c 3 -i 0.05 -W 1 -s 3000 192.0.2.1', { check: false })).stdout).toContain(
      ' 0 received',
    );
    // 3008 bytes of ICMP in pieces of 1480: three fragments a request.
    await expect
      .poll(async () => changes(before, await readCounters(x)))
      .toEqual({
        stack_ether_in: 9,
        ip_total: 9,
        ip_fragments: 9,
        ip_noreass: 9,
      });
  });

  test('a request to the broadcast address is refused and counted (net.inet.icmp.bmcastecho=0, RFC 1122 section 3.2.2.6)', async () => {
    const before = await readCounters(x);
    const r = await lab.far('ping -b -c 2 -i 0.05 -W 1 192.0.2.255', { check: false });
    expect(r.stdout).toContain(' 0 received');
    expect(changes(before, await readCounters(x))).toMatchObject({ icmp_bmcastecho: 2 });
    expect(changes(before, await readCounters(x)).icmp_reflect).toBeUndefined();
  });

  test('a protocol that nobody speaks gets ICMP protocol unreachable (RFC 1122 section 3.2.2.1)', async () => {
    const before = await readCounters(x);
    const r = await lab.far([
      'python3',
      '-c',
      `import socket
i = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP); i.settimeout(2)
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 253); s.sendto(b'x' * 20, ('192.0.2.1', 0))
p = i.recv(2000); print(p[20], p[21], p[28 + 9])`,
    ]);
    expect(r.stdout).toBe('3 2 253');
    expect(changes(before, await readCounters(x))).toMatchObject({
      ip_noproto: 1,
      icmp_error: 1,
      'icmp_out_messages:3': 1,
    });
  });

  test('echo replies are limited by net.inet.icmp.icmplim_echo, and each one held back is counted', async () => {
    await x.command(['sysctl', 'net.inet.icmp.icmplim_echo=100']);
    const before = await readCounters(x);
    // Counted by the peer's kernel, as ping does not wait for the last one.
    const replies = async (): Promise<number> =>
      Number(/^IcmpInEchoReps\s+(\d+)/m.exec((await lab.far('nstat -asz IcmpInEchoReps')).stdout)![1]);
    const had = await replies();
    await lab.far('ping -c 300 -i 0.001 -W 1 192.0.2.1', { check: false });
    const diff = async () => changes(before, await readCounters(x));
    await expect.poll(diff).toMatchObject({ 'icmp_in_messages:8': 300 });
    const { icmp_reflect: reflected, icmp_echolimited: limited } = await diff();
    expect(limited).toBeGreaterThan(0);
    expect(reflected).toBeGreaterThanOrEqual(100);
    expect(reflected! + limited!).toBe(300);
    await expect.poll(async () => (await replies()) - had).toBe(reflected);
    await x.command(['sysctl', 'net.inet.icmp.icmplim_echo=10000']);
  });
});
