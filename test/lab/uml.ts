import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FAR_ADDRESS, type Lab } from './netns.ts';
import { Running } from './process.ts';

/**
 * user-mode-linux as the lab's far end: a second Linux (Debian's 6.1) as an ordinary process, with congestion controls and queue
 * disciplines that the running kernel may lack. Its network interface is a raw socket on peer0, its root the host's file system,
 * read-only; /mnt inside is a folder of the lab, where results go. No image, no KVM.
 */

const PROGRAM = '/usr/bin/linux.uml';
const MODULES = '/usr/lib/uml/modules';
/** Interface inside. */
const DEVICE = 'vec0';

export interface UmlOptions {
  /** Sets net.ipv4.tcp_congestion_control (default cubic). Its module is loaded when it is one. */
  readonly congestion?: 'reno' | 'cubic' | 'bbr' | 'dctcp' | 'vegas' | 'westwood' | 'cdg';
  /** Sets net.ipv4.tcp_ecn=1: asks for ECN and grants it (RFC 3168). Off, it does neither. Default off. */
  readonly ecn?: boolean;
  /** Root queue discipline on what it sends, as tc words it, such as "netem delay 20ms loss 1%" or "fq". */
  readonly qdisc?: string;
  readonly sysctls?: Readonly<Record<string, string | number>>;
  /** Memory, MB (default 256). */
  readonly memory?: number;
  /** Seconds from start to power-off, after which it is killed (default 60). */
  readonly limit?: number;
}

/** What a step of the workload gave. */
export interface StepResult {
  readonly stdout: string;
  readonly code: number;
}

export interface UmlResult {
  /** Release of its kernel. */
  readonly kernel: string;
  /** Congestion controls that it offers, after loading. */
  readonly congestion: readonly string[];
  readonly steps: Readonly<Record<string, StepResult>>;
}

/** Why UML cannot be booted here, or an empty string. */
export function umlMissing(): string {
  if (!existsSync(PROGRAM)) return 'needs user-mode-linux';
  return existsSync('/bin/busybox') || existsSync('/usr/bin/busybox') ? '' : 'needs busybox';
}

/** Where a module of UML's only tree of modules lies inside it. */
function modulePath(name: string): string | undefined {
  const release = existsSync(MODULES) ? readdirSync(MODULES)[0] : undefined;
  if (release === undefined) return undefined;
  const dep = readFileSync(join(MODULES, release, 'modules.dep'), 'utf8');
  const line = dep.split('\n').find((text) => text.split(':')[0]!.endsWith(`/${name}.ko`));
  return line === undefined ? undefined : join(MODULES, release, line.split(':')[0]!);
}

function initScript(steps: Readonly<Record<string, string>>, o: UmlOptions, dir: string): string {
  const congestion = o.congestion ?? 'cubic';
  const names = [`tcp_${congestion}`, ...(o.qdisc === undefined ? [] : [`sch_${o.qdisc.split(' ')[0]}`])];
  const modules = names.map(modulePath).filter((path) => path !== undefined);
  const sysctls = {
    'net.ipv4.tcp_congestion_control': congestion,
    'net.ipv4.tcp_ecn': o.ecn ? 1 : 0,
    ...o.sysctls,
  };
  return `#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp
mount -t proc none /proc
mount -t sysfs none /sys
mount -t hostfs -o ${dir} none /mnt
mount -t tmpfs none /tmp
cd /mnt
exec 2>boot.err
echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
${modules.map((path) => `busybox insmod ${path}`).join('\n')}
ip link set lo up
${Object.entries(sysctls)
  .map(([name, value]) => `sysctl -qw "${name}=${value}"`)
  .join('\n')}
ethtool -K ${DEVICE} tx off sg off tso off gso off gro off >/dev/null
ip addr add ${FAR_ADDRESS}/24 dev ${DEVICE}
ip link set ${DEVICE} up
${o.qdisc === undefined ? '' : `tc qdisc replace dev ${DEVICE} root ${o.qdisc}`}
uname -r >kernel
cat /proc/sys/net/ipv4/tcp_available_congestion_control >congestion
${Object.keys(steps)
  .map((name) => `bash step-${name}.sh >${name}.out 2>&1 </dev/null; echo $? >${name}.code`)
  .join('\n')}
sync
busybox poweroff -f
`;
}

let boots = 0;

/** A UML that has been started. */
export interface Uml {
  /** Waits until a step has made this file in its working folder, so that it is known to serve. */
  ready(name: string): Promise<void>;
  /**
   * What the steps gave, when it has powered off.
   * @throws when it did not come up, or was not done after `limit` seconds; the message has what the console showed
   */
  readonly done: Promise<UmlResult>;
}

/**
 * Boots UML on peer0 of the far namespace, whose own kernel loses its address there, runs the steps (bash scripts, by name) one after the
 * other and powers off. Both their outputs are taken; their working folder is /mnt.
 */
export async function bootUml(
  lab: Lab,
  steps: Readonly<Record<string, string>>,
  options: UmlOptions = {},
): Promise<Uml> {
  const dir = join(lab.dir, `uml${boots++}`);
  mkdirSync(dir);
  const init = join(dir, 'init');
  writeFileSync(init, initScript(steps, options, dir), { mode: 0o755 });
  for (const [name, script] of Object.entries(steps)) writeFileSync(join(dir, `step-${name}.sh`), script);
  await lab.far('ip addr flush dev peer0; ethtool -K peer0 tx off tso off gso off gro off');
  const words = [PROGRAM, `mem=${options.memory ?? 256}M`, `umid=x${process.pid}-${boots}`, `uml_dir=${dir}/`];
  words.push('root=/dev/root', 'rootfstype=hostfs', 'rootflags=/', 'ro', `init=${init}`);
  words.push('con=null', 'con0=null,fd:1', 'ssl=null', 'quiet', 'panic=1');
  words.push(`${DEVICE}:transport=raw,ifname=peer0,depth=128,gro=0`);
  const running = lab.keep(new Running(['ip', 'netns', 'exec', lab.farNs, ...words], { cwd: dir }));
  const done = outcome(running, dir, Object.keys(steps), options.limit ?? 60);
  done.catch(() => {});
  const ready = async (name: string) => {
    while (!existsSync(join(dir, name))) {
      if (running.code !== null) await done;
      if (running.code !== null) throw new Error(`user-mode-linux: ended without ${name}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  return { ready, done };
}

async function outcome(running: Running, dir: string, names: readonly string[], seconds: number): Promise<UmlResult> {
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    running.killGroup();
  }, seconds * 1000);
  await running.exited.finally(() => clearTimeout(timer));
  const read = (name: string) => (existsSync(join(dir, name)) ? readFileSync(join(dir, name), 'utf8').trim() : '');
  const fail = (why: string) => {
    const done = names.map((name) => `-- ${name}: ${read(`${name}.code`) || 'not done'}\n${read(`${name}.out`)}`);
    throw new Error(`user-mode-linux: ${why}\n${running.output()}\n${read('boot.err')}\n${done.join('\n')}`);
  };
  if (late) fail(`not done after ${seconds} s`);
  if (read('kernel') === '') fail(`ended with ${running.code} before it was up`);
  const results: Record<string, StepResult> = {};
  for (const name of names) {
    if (read(`${name}.code`) === '') fail(`ended with ${running.code} before ${name}`);
    results[name] = { stdout: read(`${name}.out`), code: Number(read(`${name}.code`)) };
  }
  return { kernel: read('kernel'), congestion: read('congestion').split(' '), steps: results };
}

/** Boots, runs and waits for the end: see bootUml and `done`. */
export async function runUml(
  lab: Lab,
  steps: Readonly<Record<string, string>>,
  options: UmlOptions = {},
): Promise<UmlResult> {
  return (await bootUml(lab, steps, options)).done;
}
