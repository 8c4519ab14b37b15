import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lab, labMissing, ROOT, startXsiftr, type Xsiftr } from '../lab/netns.ts';
import { run } from '../lab/process.ts';

const missing = labMissing('python3', 'nft');
const LONG = process.env.ENDPOINT_SEQUENCES;
/** Sequences of the differential fuzz; `make test-long` plays 10,000, and on one queue as well. */
const SEQUENCES = Number(LONG ?? 250);
const QUEUES = LONG === undefined ? [2] : [1, 2];

/** The socket endpoint, driven by the Python client of docs/examples, beside Linux's own sockets in the same surroundings. */
describe.skipIf(missing).each(QUEUES)(`the socket endpoint against Linux, %i queues ${missing}`, (queues) => {
  let ours: Lab;
  let linux: Lab;
  let x: Xsiftr;
  let words: string[];

  beforeAll(async () => {
    ours = await Lab.create('epours', { queues });
    linux = await Lab.create('eplinux');
    const path = join(ours.dir, 'sockets');
    const times = ['--sysctl', 'net.inet.tcp.keepinit=12000', '--sysctl', 'net.inet.tcp.msl=2000'];
    x = await startXsiftr(ours, ['--sockets', path, '--serve', 'none', '--no-siftr', ...times]);
    words = [path, ours.farNs, linux.nearNs, linux.farNs];
  });

  afterAll(async () => {
    await x?.stop();
    await ours?.remove();
    await linux?.remove();
  });

  const python = (script: string, args: readonly string[], timeout: number) =>
    run(['python3', '-B', join(ROOT, 'test/lab/endpoint', script), ...words, ...args], {
      check: false,
      timeout,
      env: { ...process.env, XSIFTR_CONTROL: x.control },
    });

  test('every line of the scripts is what Linux gives, but for those that docs/endpoint.md explains', async () => {
    const r = await python('compare.py', [], 240_000);
    expect(r.code, r.stdout + r.stderr).toBe(0);
    expect(r.stdout).toMatch(/, 0 differ/);
  }, 250_000);

  test(
    `${SEQUENCES} random sequences of calls have the answers that Linux gives`,
    async () => {
      const first = Number(process.env.ENDPOINT_SEED ?? 1);
      const r = await python('fuzz.py', [String(first), String(SEQUENCES)], 1000 * SEQUENCES);
      expect(r.code, `ENDPOINT_SEED=${first} ENDPOINT_SEQUENCES=${SEQUENCES}\n${r.stdout}${r.stderr}`).toBe(0);
    },
    1_000 * SEQUENCES + 60_000,
  );

  test('kstat and netstat -s show the endpoint, and nothing of it is left when the clients have gone', async () => {
    const text = (await x.command(['netstat', '-ss', '-p', 'endpoint'])).stdout;
    expect(text).toMatch(/\d+ clients connected/);
    expect(text).not.toMatch(/clients? now|descriptors? open/);
    expect(text).not.toMatch(/malformed/);
    const kstat = (await x.command(['kstat', 'ix1:0:endpoint:0'])).stdout;
    expect(kstat).toMatch(/descriptors: 0\b/);
    expect(kstat).toMatch(/requests: [1-9]/);
  });
});
