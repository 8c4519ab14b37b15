import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { changes, counter, readCounters } from '../lab/counters.ts';
import { Lab, labMissing, ROOT, startXsiftr, type Xsiftr } from '../lab/netns.ts';
import { peer } from '../lab/peer.ts';
import { Running } from '../lab/process.ts';

/** SYN cookies with Linux's own TCP as the client: what it takes from the SYN,ACK must be what the connection does. */
describe.skipIf(labMissing('python3', 'curl'))('SYN cookies alone', () => {
  describe.each([1, 2])('on %i queues', (queues) => {
    let lab: Lab;
    let x: Xsiftr;

    beforeAll(async () => {
      lab = await Lab.create('vcookie', { queues });
      x = await startXsiftr(lab, [
        ...['--serve', 'http,echo', '--sysctl', 'net.inet.tcp.msl=500'],
        ...['--sysctl', 'net.inet.tcp.syncookies_only=1'],
      ]);
      await lab.far('ping -c 1 -W 2 192.0.2.1');
    });

    afterAll(async () => {
      await x?.stop();
      await lab?.remove();
    });

    test('500 connections open at once are all served, each by a cookie of its own', async () => {
      const before = await readCounters(x);
      const again = await linux(lab, 'TcpExtTCPSynRetrans');
      expect(await peer(lab, 'many_at_once', 500)).toEqual({ opened: 500, good: 500, bad: [] });
      await expect.poll(() => counter(x, 'tcp_connections')).toBe(0);
      const diff = changes(before, await readCounters(x));
      // Linux sends a SYN again after a second, should xsiftr not get to run for so long: that is answered by a cookie as the first was, or by a
      // challenge when the connection is made by then (RFC 5961 section 4.2).
      const syns = 500 + (await linux(lab, 'TcpExtTCPSynRetrans')) - again;
      expect(diff).toMatchObject({ tcp_accepts: 500, tcp_sc_recvcookie: 500 });
      expect(diff.tcp_sc_sendcookie! + (diff.tcp_synchallenge ?? 0)).toBe(syns);
      expect(diff.tcp_sc_added).toBeUndefined();
      expect(diff.tcp_sc_failcookie).toBeUndefined();
      expect(diff.tcp_drops).toBeUndefined();
    });

    test('curl gets 20 MB byte for byte, with window scaling, SACK and timestamps', async () => {
      expect(await peer(lab, 'http_bytes', 20_000_000)).toEqual([{ status: 200, bytes: 20_000_000, same: true }]);
      const r = await lab.far(
        'curl -sf --max-time 20 -o /dev/null -w "%{size_download}" http://192.0.2.1/bytes/20000000',
      );
      expect(r.stdout).toBe('20000000');
      const connect =
        "import socket, time; s = socket.create_connection(('192.0.2.1', 7)); print('open', flush=True); time.sleep(60)";
      const held = lab.spawnFar(['python3', '-c', connect]);
      await held.waitLine(/open/);
      expect((await lab.far('ss -tinoHO dport = 7')).stdout).toMatch(/\bts\b.*\bsack\b.*wscale:/);
      await held.stop('SIGINT', 5000);
    });
  });
});

/** Linux's count of something, in the namespace of the peer. */
async function linux(lab: Lab, name: string): Promise<number> {
  const out = (await lab.far(['nstat', '-asz', name])).stdout;
  return Number(/^\S+ +(\d+)/m.exec(out.slice(out.indexOf(name)))![1]);
}

const TFO = join(ROOT, 'test/lab/tfo.py');

/** TCP Fast Open with Linux at the other end, whose own counters say what it made of it. */
describe.skipIf(labMissing('python3', 'curl', 'nstat'))('TCP Fast Open (RFC 7413)', () => {
  test.each([1, 2])(
    'Linux as the client: it asks for a cookie, and from then on its data rides on the SYN; on %i queues',
    async (queues) => {
      const lab = await Lab.create('vtfo', { queues });
      try {
        const x = await startXsiftr(lab, [
          ...['--serve', 'http,echo', '--sysctl', 'net.inet.tcp.msl=500'],
          ...['--sysctl', 'net.inet.tcp.fastopen.server_enable=1'],
        ]);
        await lab.far('sysctl -qw net.ipv4.tcp_fastopen=3 && ping -c 1 -W 2 192.0.2.1');
        const before = await readCounters(x);
        const r = await lab.far(['python3', TFO, 'client', '192.0.2.1', '7', '20', '1000']);
        expect(JSON.parse(r.stdout)).toEqual({ good: 20 });
        for (let i = 0; i < 3; i++) {
          const got = await lab.far('curl -sf --tcp-fastopen --max-time 20 http://192.0.2.1/bytes/100000 | wc -c');
          expect(got.stdout.trim()).toBe('100000');
        }
        await expect.poll(() => counter(x, 'tcp_connections')).toBe(0);
        const diff = changes(before, await readCounters(x));
        // Linux keeps one cookie for a server, whatever the port.
        expect(diff).toMatchObject({ tcp_tfo_cookiereqd: 1, tcp_tfo_passive: 22, tcp_accepts: 23 });
        expect(diff.tcp_tfo_passivefail).toBeUndefined();
        expect(diff.tcp_drops).toBeUndefined();
        expect(await linux(lab, 'TcpExtTCPFastOpenActive')).toBe(22);
        expect(await linux(lab, 'TcpExtTCPFastOpenActiveFail')).toBe(0);
        expect(await linux(lab, 'TcpExtTCPSynRetrans')).toBe(0);
        // Two keys later Linux's cookie is good no more: it gets another, at every shard.
        for (const digit of ['5', 'a']) {
          const set = await x.command(['sysctl', `net.inet.tcp.fastopen.setkey=${digit.repeat(32)}`]);
          expect(set.stdout).toBe('net.inet.tcp.fastopen.setkey: unset -> set');
        }
        const again = await lab.far(['python3', TFO, 'client', '192.0.2.1', '7', '10', '1000']);
        expect(JSON.parse(again.stdout)).toEqual({ good: 10 });
        expect(changes(before, await readCounters(x))).toMatchObject({ tcp_tfo_passivefail: 1, tcp_tfo_passive: 31 });
        // Linux knows no pre-shared keys: with psk_enable its data waits for the handshake. What FreeBSD's knobs show, of all shards.
        const tfo = 'net.inet.tcp.fastopen';
        await x.command(['sysctl', `${tfo}.setpsk=${'1'.repeat(32)}`, `${tfo}.psk_enable=1`]);
        const shown = await x.command(['sysctl', '-n', ...['numkeys', 'numpsks', 'maxpsks'].map((n) => `${tfo}.${n}`)]);
        expect(shown.stdout).toBe('2\n1\n2');
        const plain = await lab.far(['python3', TFO, 'client', '192.0.2.1', '7', '3', '1000']);
        expect(JSON.parse(plain.stdout)).toEqual({ good: 3 });
        expect(changes(before, await readCounters(x))).toMatchObject({ tcp_tfo_passivefail: 4, tcp_tfo_passive: 31 });
        await x.command(['sysctl', `${tfo}.psk_enable=0`]);
        expect((await x.command(['sysctl', '-n', `${tfo}.numpsks`])).stdout).toBe('0');
        expect((await x.command(['sysctl', `${tfo}.ccache_list`])).stdout).toMatch(
          /^\S+: \nLocal IP address .* Cookie\n$/,
        );
        await x.stop();
      } finally {
        await lab.remove();
      }
    },
  );

  test('Linux as the server: it gives us a cookie, and from then on takes the data of our SYN', async () => {
    const lab = await Lab.create('vtfoc');
    try {
      await lab.far('sysctl -qw net.ipv4.tcp_fastopen=3');
      const server = lab.spawnFar(['python3', TFO, 'server', '192.0.2.2', '9000']);
      await server.waitLine(/serving/);
      const words = [join(ROOT, 'test/veth/children/fastopen-client.ts'), 'ix1', lab.nearNs, '192.0.2.2', '9000', '20'];
      const client = lab.keep(new Running([process.execPath, ...words, 'net.inet.tcp.msl=500']));
      expect(await client.exited, client.output()).toBe(0);
      expect(JSON.parse(client.lines.at(-1)!)).toEqual({ good: 20 });
      expect(await linux(lab, 'TcpExtTCPFastOpenCookieReqd')).toBe(1);
      expect(await linux(lab, 'TcpExtTCPFastOpenPassive')).toBe(19);
      expect(await linux(lab, 'TcpExtTCPFastOpenPassiveFail')).toBe(0);
    } finally {
      await lab.remove();
    }
  });

  test('a server that takes no part: the connection opens without it', async () => {
    const lab = await Lab.create('vtfon');
    try {
      await lab.far('sysctl -qw net.ipv4.tcp_fastopen=0');
      const server = lab.spawnFar(['python3', TFO, 'server', '192.0.2.2', '9000']);
      await server.waitLine(/serving/);
      const words = [join(ROOT, 'test/veth/children/fastopen-client.ts'), 'ix1', lab.nearNs, '192.0.2.2', '9000', '5'];
      const client = lab.keep(new Running([process.execPath, ...words, 'net.inet.tcp.msl=500']));
      expect(await client.exited, client.output()).toBe(0);
      expect(JSON.parse(client.lines.at(-1)!)).toEqual({ good: 5 });
      expect(await linux(lab, 'TcpExtTCPFastOpenPassive')).toBe(0);
    } finally {
      await lab.remove();
    }
  });
});
