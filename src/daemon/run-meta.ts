import { arch, release, type } from 'node:os';
import { readOffloads } from '../driver/netdev.ts';
import type { MetaInterface, RunMeta } from '../siftr/meta.ts';
import { SYSCTLS } from '../stack/sysctl.ts';
import { CC_DEFAULT } from '../stack/tcp/cc/registry.ts';
import type { Plan } from './plan.ts';
import { CC_ALGORITHM, type Tuning } from './tuning.ts';
import { commitOf, VERSION } from './version.ts';

/**
 * What a log's description says of a run (src/siftr/meta.ts). Called when the interface is taken and before rights are given up: what it asks the
 * kernel is asked then, sysctls are those of the moment of a call.
 * @param mode how the interface is driven, `native copy`
 */
export function describeRun(plan: Plan, mode: string, tuning: Tuning): () => RunMeta {
  const fixed = {
    program: { name: 'xsiftr', version: VERSION, commit: commitOf(), node: process.versions.node },
    kernel: `${type()} ${release()} ${arch()}`,
    interfaces: interfacesOf(plan, mode),
    options: publicOptions(plan),
    seed: null,
  } as const;
  return () => ({
    ...fixed,
    sysctls: changedSysctls(tuning),
    congestion_control: tuning.text(CC_ALGORITHM) ?? CC_DEFAULT,
  });
}

function interfacesOf(plan: Plan, mode: string): MetaInterface[] {
  if (plan.kind === 'unix') {
    return plan.links.map((l) => ({
      name: l.name,
      driver: 'unix',
      bus: null,
      mtu: l.mtu,
      mode: l.mode,
      offloads: null,
    }));
  }
  const { name, driver, busInfo, netns } = plan.dev;
  const bus = busInfo === '' ? null : busInfo;
  return [{ name, driver, bus, mtu: plan.mtu, mode, offloads: readOffloads(name, netns) }];
}

/** Always on when it is asked. */
const SIFTR_ENABLED = 'net.inet.siftr.enabled';

/** Keys are never shown. */
const SECRET: ReadonlySet<string> = new Set(
  SYSCTLS.filter((d) => d.type === 'string' && 'keyBytes' in d).map((d) => d.name as string),
);

function publicOptions(plan: Plan): Record<string, unknown> {
  const sysctl = plan.options.sysctl.filter((s) => !SECRET.has(s.name));
  return { ...plan.options, sysctl };
}

/** Every knob that can be set and is not at its default; what a run shows of itself and keys are none. */
function changedSysctls(tuning: Tuning): Record<string, number | string> {
  const values = new Map(tuning.rows().map((r) => [r.name, r.value]));
  const changed = SYSCTLS.filter(
    (d) => d.rw !== 'ro' && d.name !== SIFTR_ENABLED && !SECRET.has(d.name) && values.get(d.name) !== String(d.default),
  );
  return Object.fromEntries(
    changed.map((d) => [d.name, d.type === 'string' ? values.get(d.name)! : Number(values.get(d.name))]),
  );
}
