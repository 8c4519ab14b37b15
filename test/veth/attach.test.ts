import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Lab, labMissing, ROOT } from '../lab/netns.ts';
import { Running, run } from '../lab/process.ts';

const child = (name: string): string => join(ROOT, 'test/veth/children', name);

/** The library: `attach` runs the stack in the caller's thread (src/index.ts). */
describe.skipIf(labMissing('curl') !== '')(`attach ${labMissing('curl')}`, () => {
  let lab: Lab;
  beforeEach(async () => {
    lab = await Lab.create('att');
  });
  afterEach(() => lab.remove());

  async function server(): Promise<Running> {
    const words = [process.execPath, child('attach-server.ts'), 'ix1', lab.nearNs, '8080'];
    const running = lab.keep(new Running(words));
    await running.waitLine(/^ready ix1 at veth dev 0 "veth", native xdp, copy, 1 queue, UMEM 64 MiB/);
    return running;
  }

  it("runs Node's own http server, which curl of the peer talks to", async () => {
    await server();
    const answer = await lab.far('curl -s -m 10 http://192.0.2.1:8080/hello');
    expect(answer.stdout).toBe('GET /hello from 192.0.2.2');
    const upload = await lab.far(
      'head -c 3000000 /dev/zero | curl -s -m 20 -i --data-binary @- http://192.0.2.1:8080/up',
    );
    expect(upload.stdout).toMatch(/^x-length: 3000000$/im);
  });

  it('lets two stacks on the two ends of one veth talk to each other', async () => {
    await server();
    const client = await run([
      process.execPath,
      child('attach-client.ts'),
      'peer0',
      lab.farNs,
      '192.0.2.1',
      '20',
      '200000',
    ]);
    const lines = client.stdout.split('\n');
    expect(lines.slice(0, 20)).toEqual(Array.from({ length: 20 }, (_, i) => `200 200000 POST /${i} from 192.0.2.2`));
    expect(lines.slice(20)).toEqual(['refused ECONNREFUSED', 'closed']);
  });

  it('gives the interface back when it is closed', async () => {
    const running = await server();
    expect(await running.stop()).toBe(0);
    expect(running.lines.at(-1)).toBe('closed');
    expect((await lab.near('ip -d link show ix1')).stdout).not.toContain('xdp');
    expect((await lab.far('ping -c 1 -W 2 192.0.2.1')).code).toBe(0);
  });

  it('fails with a clear error when the interface is removed', async () => {
    const running = await server();
    await lab.near('ip link del ix1');
    expect(await running.exited).toBe(1);
    expect(running.errorLines.join('\n')).toMatch(/the interface ix1 is gone: it was removed/);
  });
});
