import { expect, test } from 'vitest';
import { EHOSTUNREACH } from '../../../../src/stack/errno.ts';
import { inetAton } from '../../../../src/stack/net/in-addr.ts';
import { ipOutput } from '../../../../src/stack/net/ip-output.ts';
import { arp, arpReply, ether, OUR_MAC, parseArp, parseIp } from '../../../lab/frames.ts';
import { TestHost } from '../../../lab/memlink.ts';

/** What a link that came up means for the neighbours behind it: another station may be there now (RFC 1122 section 2.3.2.1). */

const PEER = inetAton('192.0.2.2');

function send(h: TestHost): number {
  const m = h.pool.get()!;
  m.len = 8;
  return ipOutput(h.st, m, 0, PEER, 99, 0, 0, true, null, null);
}

const types = (frames: Uint8Array[]): string[] =>
  frames.map((f) => (parseIp(f).type === 0x0806 ? `arp ${parseArp(f).op} ${parseArp(f).tpa}` : 'ip'));

test('what was asked is asked again at once, and the packet that waits goes to who answers', () => {
  const h = new TestHost();
  expect(send(h)).toBe(0);
  expect(types(h.run())).toEqual(['arp 1 192.0.2.2']);
  h.st.arp.linkUp(h.ifp);
  expect(types(h.run())).toEqual(['arp 1 192.0.2.2']);
  const sent = h.exchange(arpReply());
  expect(types(sent)).toEqual(['ip']);
  expect(h.leaked()).toBe(0);
});

test('a neighbour that was known is asked for again, so that another station at its address gets the packets', () => {
  const h = new TestHost();
  h.st.arp.learn(h.ifp, PEER, 0x0200, 2);
  send(h);
  expect(types(h.run())).toEqual(['ip']);
  h.st.arp.linkUp(h.ifp);
  send(h);
  expect(types(h.run())).toEqual(['arp 1 192.0.2.2']);
  const sha = '02:00:00:00:00:77';
  const sent = h.exchange(
    ether({ type: 0x0806, src: sha }, arp({ op: 2, sha, spa: '192.0.2.2', tha: OUR_MAC, tpa: '192.0.2.1' })),
  );
  expect(parseIp(sent[0]!).dstMac).toBe(sha);
  expect(h.leaked()).toBe(0);
});

test('that a neighbour did not answer before says nothing about it now', () => {
  const h = new TestHost();
  send(h);
  h.run(10_000_000);
  // Nobody answered: refused for a while.
  expect(send(h)).toBe(EHOSTUNREACH);
  h.st.arp.linkUp(h.ifp);
  expect(send(h)).toBe(0);
  expect(types(h.run())).toEqual(['arp 1 192.0.2.2']);
  expect(h.leaked(1)).toBe(0);
});
