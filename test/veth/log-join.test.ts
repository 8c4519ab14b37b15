import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'vitest';
import { Lab, NEAR_ADDRESS, startXsiftr, withLab, XSIFTR } from '../lab/netns.ts';
import { run } from '../lab/process.ts';

for (const off of [false, true]) test(`try ${off}`, async () => {
  await withLab('join', { peerOffloads: off, queues: 1 }, async (lab: Lab) => {
    const x = await startXsiftr(lab, ['--serve', 'http,discard,echo,daytime']);
    const file = join(lab.dir, 'peer.pcap');
    const dump = lab.spawnFar(['tcpdump', '-Z', 'root', '-i', 'peer0', '-n', '-B', '65536', '--immediate-mode', '--time-stamp-precision=nano', '-w', file, 'tcp']);
    await dump.waitLine(/listening on/);
    for (let i = 0; i < 4; i++) await lab.far(`curl -sS -m 20 -o /dev/null http://${NEAR_ADDRESS}/bytes/300000`);
    await lab.far(`curl -sS -m 20 -o /dev/null http://${NEAR_ADDRESS}/bytes/20000000`);
    await lab.far(['bash', '-c', `head -c 10000000 /dev/zero > /dev/tcp/${NEAR_ADDRESS}/9`]);
    await lab.far(`curl -sS -m 20 -o /dev/null 'http://${NEAR_ADDRESS}/bytes/[40000-50000:1000]'`);
    await new Promise((r) => setTimeout(r, 500));
    await dump.stop('SIGINT');
    console.log(dump.output());
    await x.stop();
    const r = await run([XSIFTR, 'log', 'join', x.siftrLog, file, '--all', '-o', join(lab.dir, 'x')]);
    console.log(r.stderr);
    copyFileSync(file, `/tmp/jt/v${off}.pcap`);
    copyFileSync(x.siftrLog, `/tmp/jt/v${off}.log`);
  });
});
