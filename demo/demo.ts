import { createReadStream, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { FAR_ADDRESS, freePort, type Lab, labMissing, NEAR_ADDRESS, ROOT, withLab, XSIFTR } from '../test/lab/netns.ts';
import { type Result, Running, run } from '../test/lab/process.ts';

/**
 * `make demo`: two network namespaces joined by a veth pair whose near end is ix1 with four queues; xsiftr on ix1, Linux as the
 * peer. Shows every view once and checks each step. Exit status 0: all of it worked.
 */

const QUEUES = 4;
const OUT = join(ROOT, 'demo-output');
const BYTES = 20_000_000;
/** Port of /metrics that xsiftr takes when it is not told otherwise. */
const METRICS_PORT = 9464;

const failures: string[] = [];
/** Exit status of the signal that ended the demo early, else 0. */
let interrupted = 0;

function heading(text: string): void {
  if (interrupted > 0) throw new Error('the demo was interrupted');
  console.log(`\n== ${text}`);
}

function show(lines: readonly string[], from = 0, to = lines.length): void {
  for (const line of lines.slice(from, to)) console.log(`   ${line}`);
}

/** Notes a claim that must hold; false makes the exit status 1. */
function check(claim: string, holds: boolean): void {
  if (interrupted > 0) return;
  console.log(`   ${holds ? 'ok' : 'FAILED'}: ${claim}`);
  if (!holds) failures.push(claim);
}

/** Keeps what a step printed in demo-output/. */
function keep(name: string, text: string): void {
  writeFileSync(join(OUT, name), text.endsWith('\n') ? text : `${text}\n`);
}

const lines = (result: Result): string[] => result.stdout.split('\n');

async function traffic(lab: Lab): Promise<void> {
  heading(`ping -c 5 -i 0.2 ${NEAR_ADDRESS}`);
  const ping = await lab.far(`ping -c 5 -i 0.2 ${NEAR_ADDRESS}`, { check: false });
  show(lines(ping).filter((line) => /icmp_seq|packets|rtt/.test(line)));
  check('5 echo requests, 5 replies', / 5 received/.test(ping.stdout));

  heading(`curl http://${NEAR_ADDRESS}/bytes/${BYTES}`);
  const curl = await lab.far(
    `curl -sS -m 20 -o /dev/null -w 'HTTP %{http_code}, %{size_download} bytes in %{time_total} s\\n' http://${NEAR_ADDRESS}/bytes/${BYTES}`,
    { check: false },
  );
  show([...lines(curl), curl.stderr].filter(Boolean));
  check(`all ${BYTES} bytes came`, curl.stdout.startsWith(`HTTP 200, ${BYTES} bytes`));

  heading(`iperf3 -c ${NEAR_ADDRESS} -P 4 -t 3`);
  const iperf = await lab.far(`iperf3 -c ${NEAR_ADDRESS} -P 4 -t 3`, { check: false });
  keep('iperf3.txt', iperf.stdout + iperf.stderr);
  show([...lines(iperf).filter((line) => /sender|receiver/.test(line)), iperf.stderr].filter(Boolean));
  check('four streams, received by us', iperf.code === 0 && /\[SUM\].*[1-9].*receiver/.test(iperf.stdout));
}

async function views(metrics: string, control: string): Promise<void> {
  // Another instance may be running on this machine; this names ours.
  const options = { check: false, env: { ...process.env, XSIFTR_CONTROL: control } };
  heading(`scrape of ${metrics}/metrics`);
  const text = await (await fetch(`${metrics}/metrics`)).text();
  keep('metrics.txt', text);
  const rx = text.split('\n').filter((line) => /^xsiftr_rxq_packets_total\{/.test(line));
  show(rx);
  check(`${QUEUES} receive queues in the scrape`, rx.length === QUEUES);

  heading('xsiftr kstat ix1::rxq:0 ix1::txq:0');
  const pair = await run([XSIFTR, 'kstat', 'ix1::rxq:0', 'ix1::txq:0'], options);
  show([...lines(pair), pair.stderr].filter(Boolean));
  check('a receive and a transmit queue', /^ix1:0:rxq:0$/m.test(pair.stdout) && /^ix1:0:txq:0$/m.test(pair.stdout));
  keep('kstat.txt', (await run([XSIFTR, 'kstat'], options)).stdout);

  heading('xsiftr netstat -s -s -p tcp (the first dozen lines)');
  const netstat = await run([XSIFTR, 'netstat', '-s', '-s', '-p', 'tcp'], options);
  show([...lines(netstat), netstat.stderr].filter(Boolean), 0, 13);
  check('TCP counted', /\d+ packets sent/.test(netstat.stdout));
  keep('netstat.txt', (await run([XSIFTR, 'netstat', '-s'], options)).stdout);
}

/** The first, the last and the number of the lines of a file, without holding it in memory. */
async function endsOf(file: string): Promise<{ first: string[]; last: string[]; count: number }> {
  const first: string[] = [];
  const last: string[] = [];
  let count = 0;
  for await (const line of createInterface({ input: createReadStream(file) })) {
    if (count++ < 3) first.push(line);
    last.push(line);
    if (last.length > 2) last.shift();
  }
  return { first, last, count };
}

async function siftrLog(file: string): Promise<void> {
  heading(`SIFTR: ${relative(ROOT, file)}`);
  const { first, last, count } = await endsOf(file);
  show([...first, `… ${count - 5} lines …`, ...last]);
  const number = (key: string): number =>
    Number(new RegExp(`\\b${key}=(\\d+)`).exec(last.at(-1) ?? '')?.[1] ?? Number.NaN);
  const total = number('total_tcp_pkts');
  const skipped = number('total_skipped_tcp_pkts');
  check(`data lines ${count - 2} = TCP packets ${total} - skipped ${skipped}`, count - 2 === total - skipped);
}

async function demo(lab: Lab): Promise<void> {
  rmSync(OUT, { recursive: true, force: true });
  mkdirSync(OUT, { recursive: true });
  const log = join(OUT, 'siftr.log');
  const words = [
    '--iface',
    'ix1',
    '--queues',
    String(QUEUES),
    '--netns',
    lab.nearNs,
    '--siftr-log',
    relative(ROOT, log),
  ];
  let port = METRICS_PORT;
  if (!(await isFree(port))) {
    port = await freePort();
    words.push('--metrics', `127.0.0.1:${port}`);
  }

  heading(`xsiftr ${words.join(' ')}`);
  const started = performance.now();
  const xsiftr = lab.keep(new Running([XSIFTR, ...words], { cwd: ROOT }));
  await xsiftr.waitLine(/^ix1 at /);
  const control = / control (\S+)$/.exec(await xsiftr.waitLine(/ control \S+$/))![1]!;
  await run([XSIFTR, 'wait', '--timeout', '20s', '--control', control]);
  show(xsiftr.lines);
  check(`ready after ${((performance.now() - started) / 1000).toFixed(1)} s`, true);

  await traffic(lab);
  await views(`http://127.0.0.1:${port}`, control);

  heading('Ctrl-C');
  const before = xsiftr.lines.length;
  const code = await xsiftr.stop('SIGINT', 20_000);
  show(xsiftr.lines, before);
  check(`xsiftr ended with exit status ${code}`, code === 0);
  keep('xsiftr.txt', xsiftr.output());

  await siftrLog(log);

  heading("the interface is the kernel's again");
  const ping = await lab.far(`ping -c 1 -W 2 ${NEAR_ADDRESS}`, { check: false });
  check(`Linux on ix1 answers ${FAR_ADDRESS}`, ping.code === 0);
  const link = await lab.near('ip -d link show ix1');
  check('no XDP program is left on ix1', !/xdp/.test(link.stdout));
}

async function isFree(port: number): Promise<boolean> {
  try {
    await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(500) });
    return false;
  } catch (error) {
    return (error as { cause?: { code?: string } }).cause?.code === 'ECONNREFUSED';
  }
}

const missing = labMissing('ping', 'curl', 'iperf3');
if (missing) {
  console.error(`demo: ${missing}`);
  process.exit(1);
}
// Ctrl-C ends the demo as a failed step would: xsiftr is stopped in order, then the namespaces go. A second one does not wait.
const interruption = new Promise<never>((_, reject) => {
  for (const [signal, code] of Object.entries({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 })) {
    process.on(signal, () => {
      if (interrupted > 0) process.exit(code);
      interrupted = code;
      reject(new Error(`interrupted by ${signal}`));
    });
  }
});
interruption.catch(() => {});

const began = performance.now();
try {
  await withLab('demo', { queues: QUEUES }, (lab) => {
    const steps = demo(lab);
    steps.catch(() => {});
    return Promise.race([steps, interruption]);
  });
} catch (error) {
  failures.push((error as Error).message);
  console.error(`\n${(error as Error).message}`);
}
const seconds = ((performance.now() - began) / 1000).toFixed(0);
console.log(`\nFiles: demo-output/ (siftr.log, metrics.txt, kstat.txt, netstat.txt, iperf3.txt, xsiftr.txt)`);
if (failures.length > 0) {
  console.log(`${failures.length} of the demo's steps failed after ${seconds} s:`);
  for (const failure of failures) console.log(`  ${failure.split('\n')[0]}`);
  process.exitCode = interrupted || 1;
} else {
  console.log(`All of it worked, in ${seconds} s.`);
}
