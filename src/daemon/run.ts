import { loadNative } from '../driver/native.ts';
import { restore, undoPath } from '../driver/undo.ts';
import { loadCc } from '../load/cc-load.ts';
import { summaryLines } from './announce.ts';
import { Daemon } from './daemon.ts';
import { exitCodeOf, isRefusal, oneLine, SystemError } from './errors.ts';
import { createLogger, type Logger } from './logger.ts';
import type { RunOptions } from './options.ts';
import { checkLinks, makePlan, obstacles, planLines } from './plan.ts';

/**
 * Runs xsiftr until it is told to stop. Prints for people on standard output, diagnostics on standard error.
 * @returns the exit status: 0 after a signal or the end of `--duration`, 1 when something broke, 2 for a refusal
 * @throws what src/daemon/errors.ts describes, when it could not start
 */
export async function runDaemon(options: RunOptions): Promise<number> {
  const log = await createLogger(options.logLevel, process.stderr.isTTY === true);
  const cc = await loadCc(options.cc);
  // Who may not read the undo files is refused by the plan for want of rights.
  const nic = options.links.length === 0;
  if (nic && !options.dryRun && process.getuid?.() === 0) restoreLeftovers(options, log);
  const plan = makePlan(options, cc);
  const inTheWay = obstacles(plan);
  for (const f of plan.kind === 'nic' ? plan.findings : []) {
    if (!inTheWay.includes(f)) log.warn(`forced: ${f.text}`);
  }
  await checkLinks(options);
  if (options.dryRun) {
    const lines = planLines(plan, undoPath(plan.name, plan.netns));
    for (const line of lines) process.stdout.write(`${line}\n`);
  }
  for (const f of inTheWay) process.stderr.write(`xsiftr: --iface ${plan.name}: ${f.text}\n`);
  if (inTheWay.length > 0) return 2;
  if (options.dryRun) {
    process.stdout.write('dry run: nothing was changed\n');
    return 0;
  }

  const daemon = new Daemon(plan, loadNative(), log);
  daemon.tuning.boot(plan.sysctls);
  const crash = (err: unknown): void => {
    void daemon.stop('failure', err instanceof Error ? err : new Error(String(err)));
  };
  // A signal that comes during set-up waits for its end: half a set-up is not taken back in order. Who does not want to wait sends a
  // second one, and leaves the rest to the guard.
  let started = false;
  let early: NodeJS.Signals | null = null;
  const end = (name: NodeJS.Signals): void => {
    if (started) void daemon.stop(name);
    else if (early === null) early = name;
    else process.exit(1);
  };
  process.on('SIGINT', end);
  process.on('SIGTERM', end);
  process.on('SIGHUP', () => {
    if (started) void daemon.siftr?.reopen().catch((err) => log.error(`${oneLine(err)}; it goes on in the open file`));
  });
  await daemon.start();
  started = true;
  if (early !== null) void daemon.stop(early);
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);
  const { out } = daemon;
  const human = !options.json;
  if (human) for (const line of daemon.announce()) out.write(`${line}\n`);

  const summary = await daemon.finished;
  if (human) for (const line of summaryLines(summary)) out.write(`${out.isTTY ? '\r\x1b[K' : ''}${line}\n`);
  else out.write(`${JSON.stringify(summary)}\n`);
  const { failure } = daemon;
  if (failure !== null) {
    process.stderr.write(`xsiftr: ${isRefusal(failure) ? oneLine(failure) : (failure as Error).stack}\n`);
    return exitCodeOf(failure);
  }
  return summary.failed.length > 0 ? 1 : 0;
}

/** Undoes what a dead process left on this interface, so that what is adopted is what the user had. */
function restoreLeftovers(options: RunOptions, log: Logger): void {
  for (const r of restore({ ifname: options.iface, netns: options.netns ?? null })) {
    if (r.state === 'restored' || r.state === 'gone') log.warn(`left by an earlier run: ${r.text}`);
    if (r.state === 'failed') throw new SystemError(`--iface ${options.iface}: ${r.text}`);
  }
}
