import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { counter } from '../lab/counters.ts';
import { withEmulator } from '../lab/emulator.ts';
import { FAR_ADDRESS, Lab, labMissing, pingReplies, ROOT, startXsiftr, withLab, type Xsiftr } from '../lab/netns.ts';
import { Running } from '../lab/process.ts';
import { bootUml, runUml, type UmlResult, umlMissing } from '../lab/uml.ts';

/** Bytes of each transfer. */
const N = 4_000_000;
/** Of a body of /bytes/N: byte p is p modulo 251. */
const BODY = createHash('sha256')
  .update(Buffer.from({ length: N }).map((_, i) => i % 251))
  .digest('hex');

/** Sends N bytes to a service of ours, shows the connection's state in the middle of it, and waits for our FIN. */
const UPLOAD = `
exec 3<>/dev/tcp/192.0.2.1/9
head -c ${N} /dev/zero >&3 &
sleep 0.2; ss -tinoHO dst 192.0.2.1
wait $! && echo taken`;

/** A sink at port 9 of the near end: says how much it took until the FIN. */
const SINK = `
import socket
s = socket.create_server(("192.0.2.1", 9))
print("sinking", flush=True)
c, n = s.accept()[0], 0
while b := c.recv(1 << 18):
    n += len(b)
print(n, flush=True)`;

/** What it sends comes back the same. Written and read at once, as both ends' buffers are smaller than this. */
const ECHO = `
head -c ${N} /dev/urandom >/tmp/sent
exec 3<>/dev/tcp/192.0.2.1/7
head -c ${N} <&3 >/tmp/back &
cat /tmp/sent >&3
wait $!
cmp /tmp/sent /tmp/back && echo same`;

const STEPS = {
  // With -w it waits for so many answers, and asks again meanwhile.
  ping: 'ping -c 3 -i 0.2 -w 20 192.0.2.1',
  get: `curl -sS -m 30 http://192.0.2.1/bytes/${N} | sha256sum`,
  put: UPLOAD,
  echo: ECHO,
  nstat:
    'nstat -asz TcpInCsumErrors TcpInErrs IpInHdrErrors TcpRetransSegs IpExtInECT0Pkts IpExtInCEPkts TcpExtTCPDeliveredCE',
};

/** Rows of nstat. */
function nstat(result: UmlResult): ReadonlyMap<string, number> {
  const rows = result.steps.nstat!.stdout.split('\n').map((line) => line.trim().split(/\s+/));
  return new Map(rows.filter((row) => row.length >= 2).map((row) => [row[0]!, Number(row[1])]));
}

const CASES = [
  { name: 'bbr', options: { congestion: 'bbr' } },
  { name: 'dctcp, asking for ECN', options: { congestion: 'dctcp', ecn: true } },
  {
    name: 'cubic behind netem, 10 ms, 1 % of what it sends lost and 1 % reordered',
    options: { congestion: 'cubic', qdisc: 'netem delay 10ms loss 1% reorder 1%' },
  },
] as const;

const missing = umlMissing() || labMissing('curl', 'bash', 'ping', 'ss');

describe.skipIf(missing).each(CASES)('user-mode-linux with $name', ({ options }) => {
  let lab: Lab;
  let xsiftr: Xsiftr;
  let result: UmlResult;
  let received = 0;

  beforeAll(async () => {
    lab = await Lab.create('cuml', { peerOffloads: false });
    xsiftr = await startXsiftr(lab, ['--serve', 'http,discard,echo']);
    result = await runUml(lab, STEPS, { ...options, limit: 100 });
    received = (await counter(xsiftr, 'tcp_rcvbyte')) + (await counter(xsiftr, 'tcp_rcvoobyte'));
    console.log(`${result.steps.put!.stdout.split('\n')[0]!.replace(/\s+/g, ' ')}\n${result.steps.nstat!.stdout}`);
  });

  afterAll(async () => {
    await xsiftr?.stop();
    await lab?.remove();
  });

  test('boots with the congestion control that was asked for', () => {
    expect(result.congestion).toContain(options.congestion);
    expect(result.steps.put!.stdout).toContain(` ${options.congestion}`);
  });

  test('gets an answer to each ping that it did not lose itself', () => {
    expect(pingReplies(result.steps.ping!.stdout)).toBeGreaterThanOrEqual('qdisc' in options ? 1 : 3);
  });

  test('downloads the bytes that we sent', () => {
    expect(result.steps.get!.stdout).toBe(`${BODY}  -`);
  });

  test('uploads, and we take every byte once', async () => {
    expect(result.steps.put!.stdout).toMatch(/taken$/);
    // discard and echo: the request of the download is the only other data.
    expect(received).toBeGreaterThanOrEqual(2 * N);
    expect(received).toBeLessThan(2 * N + 1000);
  });

  test('gets back what it sent to echo, byte for byte', () => {
    expect(result.steps.echo!.stdout).toBe('same');
  });

  test('finds no fault with our headers and checksums (RFC 9293 section 3.1)', () => {
    const rows = nstat(result);
    expect(rows.get('TcpInCsumErrors')).toBe(0);
    expect(rows.get('TcpInErrs')).toBe(0);
    expect(rows.get('IpInHdrErrors')).toBe(0);
  });
});

describe.skipIf(missing || labMissing('python3'))('user-mode-linux as the server', () => {
  test.each(['bbr', 'dctcp'] as const)(
    'with %s echoes what we send on a connection that we opened',
    async (congestion) => {
      await withLab('cuml', { peerOffloads: false }, async (lab) => {
        // Given with the step: a checkout below /tmp is hidden from UML by its own.
        const program = readFileSync(join(ROOT, 'test/lab/servers.py'), 'utf8');
        const serve = `cat >/tmp/servers.py <<'END'
${program}
END
timeout 30 python3 /tmp/servers.py 9000 | while read line; do touch $line; done`;
        const uml = await bootUml(lab, { serve }, { congestion, ecn: true });
        await uml.ready('serving');
        const child = join(ROOT, 'test/veth/children/echo-client.ts');
        const words = [process.execPath, child, 'ix1', lab.nearNs, FAR_ADDRESS, '9000', String(N)];
        const client = lab.keep(new Running(words));
        expect(await client.exited, client.output()).toBe(0);
        expect(client.lines.at(-1)).toBe(JSON.stringify({ bytes: N, same: true }));
      });
    },
  );
});

/**
 * Proves the ground that ECN tests stand on, with Linux at both ends. With CUBIC, as a DCTCP sender's SYN is ECT, and a Linux listener
 * without DCTCP grants ECN to no such SYN (RFC 3168 section 6.1.1 has SYNs not-ECT).
 */
describe.skipIf(missing || labMissing('python3', 'cmake'))('user-mode-linux over a link that marks', () => {
  test('negotiates ECN with Linux, and its CUBIC answers marks without a retransmission (RFC 3168 section 6.1.2)', async () => {
    const way = { delayUs: 2000 };
    const settings = { toPeer: way, toUs: { ...way, rate: 50_000_000, markBytes: 30_000, queueBytes: 500_000 } };
    await withEmulator('cuml', {}, settings, async (m, emulator) => {
      await m.lab.near('sysctl -qw net.ipv4.tcp_ecn=1');
      const sink = m.lab.spawnNear(['python3', '-c', SINK]);
      await sink.waitLine(/^sinking$/);
      const steps = { put: UPLOAD, nstat: STEPS.nstat };
      const result = await runUml(m.lab, steps, { congestion: 'cubic', ecn: true });
      const { toUs } = await emulator.stop();
      expect(sink.lines.at(-1)).toBe(String(N));
      expect(result.steps.put!.stdout).toMatch(/ ecn .*cubic/);
      expect(toUs.marked).toBeGreaterThan(0);
      expect(toUs.queue_drops).toBe(0);
      expect(nstat(result).get('TcpExtTCPDeliveredCE')).toBeGreaterThan(0);
      expect(nstat(result).get('TcpRetransSegs')).toBe(0);
    });
  });

  test('is killed when it is not done in time, and leaves no process behind', async () => {
    const lab = await Lab.create('cuml', { peerOffloads: false });
    try {
      await expect(runUml(lab, { hang: 'echo waiting; sleep 100' }, { limit: 8 })).rejects.toThrow(
        /not done after 8 s[\s\S]*-- hang: not done/,
      );
      expect((await lab.near(`ip netns pids ${lab.farNs}`)).stdout).toBe('');
    } finally {
      await lab.remove();
    }
  });
});
