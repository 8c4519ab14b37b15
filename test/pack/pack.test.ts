import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { labMissing, NEAR_ADDRESS, pingReplies, ROOT, startXsiftr, withLab } from '../lab/netns.ts';
import { run } from '../lab/process.ts';

/**
 * The package as a user gets it: packed, installed into an empty folder, run as compiled JavaScript by a Node 24 that is found
 * on the PATH.
 */

const dir = mkdtempSync(join(tmpdir(), 'xsiftr-pack-'));
const app = join(dir, 'app');
const installed = join(app, 'node_modules/xsiftr');
const program = join(app, 'node_modules/.bin/xsiftr');
const env = { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}` };

beforeAll(async () => {
  mkdirSync(app);
  writeFileSync(join(app, 'package.json'), '{ "private": true, "type": "module" }\n');
  await run(['npm', 'pack', '--pack-destination', dir, '--loglevel', 'error'], {
    cwd: ROOT,
    env: { ...process.env, NO_APT: '1' },
    timeout: 200_000,
  });
  const tarball = readdirSync(dir).find((name) => name.endsWith('.tgz'))!;
  const flags = ['--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel', 'error'];
  await run(['npm', 'install', ...flags, join(dir, tarball)], { cwd: app, env, timeout: 200_000 });
});

afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('the published package', () => {
  test('holds compiled JavaScript, the addon, the XDP program and the guard, and no sources or tests', () => {
    expect(readdirSync(installed).sort()).toEqual(
      ['CHANGELOG.md', 'LICENSE', 'README.md', 'bin', 'build', 'dist', 'package.json'].sort(),
    );
    const release = readdirSync(join(installed, 'build/Release'));
    expect(release).toEqual(expect.arrayContaining(['xsiftr.node', 'xsiftr-guard']));
    expect(existsSync(join(installed, 'dist/cli/main.js'))).toBe(true);
    const dist = readdirSync(join(installed, 'dist'), { recursive: true, encoding: 'utf8' });
    expect(dist.filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))).toEqual([]);
  });

  test('prints its version', async () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    expect((await run([program, '--version'], { env })).stdout).toBe(version);
  });

  test('refuses an older Node in one line, exit status 1', async () => {
    const old = join(dir, 'old');
    mkdirSync(old);
    writeFileSync(join(old, 'node'), '#!/bin/sh\necho v20.1.0\n');
    chmodSync(join(old, 'node'), 0o755);
    const result = await run([program, '--version'], {
      env: { ...process.env, PATH: `${old}${delimiter}${process.env.PATH}` },
      check: false,
    });
    expect(result).toEqual({
      stdout: '',
      stderr: 'xsiftr: needs Node 24 or newer as node on the PATH; found v20.1.0',
      code: 1,
    });
  });

  test('makes public what exports names and nothing else', async () => {
    const names = `console.log(Object.keys(await import('xsiftr')).sort().join());`;
    expect((await run([process.execPath, '--input-type=module', '-e', names], { cwd: app })).stdout).toBe(
      'Server,Socket,SystemError,UserError,VERSION,attach,run',
    );
    const code = `await import('xsiftr/dist/cli/main.js').then(() => console.log('open'), (e) => console.log(e.code));`;
    const result = await run([process.execPath, '--input-type=module', '-e', code], { cwd: app });
    expect(result.stdout).toBe('ERR_PACKAGE_PATH_NOT_EXPORTED');
  });

  test('runs experiments in virtual time, from JavaScript and from the command line alike', async () => {
    const code = `const { runExperiment } = await import('xsiftr/sim');
      console.log(JSON.stringify(runExperiment({ bw: '10Mbit', loss: '1%', time: '1s', seed: 5 }), null, 2));`;
    const library = await run([process.execPath, '--input-type=module', '-e', code], { cwd: app });
    const words = ['sim', '--bw', '10Mbit', '--loss', '1%', '--time', '1s', '--seed', '5', '--json'];
    expect((await run([program, ...words], { env })).stdout).toBe(library.stdout);
  });

  test('reads logs, from JavaScript with the example of docs/log.md and from the command line alike', async () => {
    await run([program, 'sim', '--bw', '10Mbit', '--time', '1s', '--siftr-log', 's.log'], { cwd: app, env });
    await run(['gzip', '-k', 's.log'], { cwd: app });
    writeFileSync(join(app, 'largest.mts'), readFileSync(join(ROOT, 'docs/examples/largest-window.ts')));
    const example = await run([process.execPath, 'largest.mts', 's.log.gz'], { cwd: app });
    const summary = await run([program, 'log', 'summary', '--json', 's.log'], { cwd: app, env });
    const { flows } = JSON.parse(summary.stdout) as { flows: { flow: string; cwnd_bytes: { max: number } }[] };
    expect(example.stdout).toBe(flows.map((f) => `${f.flow} ${f.cwnd_bytes.max}`).join('\n'));
    await run([program, 'log', 'export', '-o', 's.parquet', 's.log'], { cwd: app, env });
    expect(readFileSync(join(app, 's.parquet')).toString('latin1', 0, 4)).toBe('PAR1');
  });

  test('draws logs, as a page with its script, as SVG and as PNG with its fonts', async () => {
    const log = join(dir, 'sim.log');
    await run([program, 'sim', '--bw', '10Mbit', '--time', '1s', '--siftr-log', log], { env });
    const starts = { html: '<!doctype html>', svg: '<svg ', png: '\x89PNG' };
    for (const [ending, start] of Object.entries(starts)) {
      const file = join(dir, `plot.${ending}`);
      expect(await run([program, 'log', 'plot', log, '-o', file], { env })).toEqual({
        stdout: '',
        stderr: '',
        code: 0,
      });
      expect(readFileSync(file, 'latin1').slice(0, start.length)).toBe(start);
    }
  });

  test.skipIf(labMissing('ping', 'curl', 'iperf3'))('runs the core of the demo', async () => {
    await withLab('pack', { queues: 2 }, async (lab) => {
      const xsiftr = await startXsiftr(lab, [], { program, env });
      expect(xsiftr.attachLine).toMatch(/^ix1 at /);
      expect(pingReplies((await lab.far(`ping -c 3 -i 0.2 -w 10 ${NEAR_ADDRESS}`)).stdout)).toBeGreaterThanOrEqual(3);
      const curl = await lab.far(
        `curl -sS -m 20 -o /dev/null -w '%{http_code} %{size_download}' http://${NEAR_ADDRESS}/bytes/5000000`,
      );
      expect(curl.stdout).toBe('200 5000000');
      expect((await lab.far(`iperf3 -c ${NEAR_ADDRESS} -P 2 -t 1`)).stdout).toMatch(/\[SUM\].*receiver/);
      expect(await (await fetch(`${xsiftr.metrics}/metrics`)).text()).toMatch(
        /^xsiftr_rxq_packets_total\{.*queue="1".*\} /m,
      );
      expect((await xsiftr.command(['kstat', 'rxq'])).stdout).toMatch(/^ix1:0:rxq:1$/m);
      expect(await xsiftr.stop()).toBe(0);

      const log = readFileSync(xsiftr.siftrLog, 'latin1').trimEnd().split('\n');
      const number = (key: string) => Number(new RegExp(`\\b${key}=(\\d+)`).exec(log.at(-1)!)?.[1]);
      expect(log.length - 2).toBe(number('total_tcp_pkts') - number('total_skipped_tcp_pkts'));
      expect(log.length).toBeGreaterThan(1000);
    });
  });
});
