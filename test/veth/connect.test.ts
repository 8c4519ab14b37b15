import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lab, labMissing, ROOT } from '../lab/netns.ts';
import { Running, run } from '../lab/process.ts';

const PORT = 9000;

/** Connections that we open, to servers on Linux. One run of a program says everything; the tests look at what it said. */
describe.skipIf(labMissing('python3', 'tcpdump'))('active open with Linux as the peer', () => {
  let lab: Lab;
  let said: Map<string, unknown>;
  let syn: string;
  let left: string;

  beforeAll(async () => {
    lab = await Lab.create('vconn');
    const servers = lab.spawnFar(['python3', join(ROOT, 'test/lab/servers.py'), String(PORT)]);
    await servers.waitLine(/serving/);
    const dump = lab.spawnFar(['tcpdump', '-nlvi', 'peer0', '-c', '1', 'src 192.0.2.1 and tcp[13] = 2']);
    await dump.waitLine(/listening on/);
    const words = [join(ROOT, 'test/veth/children/connect-client.ts'), 'ix1', lab.nearNs, '192.0.2.2', String(PORT)];
    const client = lab.keep(
      new Running([process.execPath, ...words, 'net.inet.tcp.msl=500', 'net.inet.tcp.keepinit=3000']),
    );
    const code = await client.exited;
    expect(code, client.output()).toBe(0);
    said = new Map(client.lines.map((line) => JSON.parse(line) as [string, unknown]));
    syn = dump.lines.join(' ');
    left = (await run(['ip', 'netns', 'exec', lab.farNs, 'ss', '-tnH', 'state', 'connected'])).stdout;
  }, 60_000);

  afterAll(() => lab?.remove());

  test('what we send comes back byte for byte: nothing, a byte, around a segment, 64 KB, 20 MB', () => {
    const sizes = [0, 1, 1447, 1448, 1449, 1460, 65_536, 20_000_000];
    expect(said.get('echo')).toEqual(sizes.map((n) => [n, true]));
  });

  test('our SYN has its options in the order mss, nop, wscale, sackOK, TS, and DF', () => {
    expect(syn).toMatch(/flags \[DF\]/);
    expect(syn).toMatch(/Flags \[S\].*options \[mss 1460,nop,wscale \d+,sackOK,TS val \d+ ecr 0\]/);
  });

  test('a server that speaks first and closes is heard to the end', () => {
    expect(said.get('line')).toBe('220 hello\r\n');
  });

  test('300 connections opened at once all work', () => {
    expect(said.get('many')).toBe(300);
  });

  test('a closed port is ECONNREFUSED, a reset ECONNRESET', () => {
    expect(said.get('refused')).toBe('ECONNREFUSED connect');
    expect(said.get('reset')).toMatch(/^ECONNRESET (read|write)$/);
  });

  test('a reader who never reads stops us without loss of the connection', () => {
    expect(said.get('stuck')).toBe(true);
    // A window of less than a segment waits for the persist timer as one of zero does (RFC 9293 section 3.8.6.2.1).
    expect((said.get('netstat') as { persist: number }).persist).toBeGreaterThan(0);
  });

  test('an address that nobody has is given up in the time of net.inet.tcp.keepinit', () => {
    expect(said.get('nobody')).toMatch(/^(EHOSTUNREACH|ETIMEDOUT) connect$/);
    expect(said.get('patience')).toBeLessThanOrEqual(4);
  });

  test('the counters agree: every request, every connection, nothing retransmitted but probes, nothing broken', () => {
    const requests = 8 + 1 + 300 + 1 + 1 + 1 + 1;
    const { retransmitted, probes, ...rest } = said.get('netstat') as Record<string, number>;
    expect(rest).toMatchObject({ requests, established: requests - 2, unfit: 0 });
    // A peer that is late with an ACK is probed (RFC 8985 section 7); nothing else goes twice.
    expect(retransmitted).toBeLessThanOrEqual(probes!);
  });

  test('Linux has no connection left of all this', () => {
    expect(left.split('\n').filter((line) => line !== '' && !line.startsWith('TIME-WAIT'))).toEqual([]);
  });
});
