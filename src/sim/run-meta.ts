import type { RunMeta } from '../siftr/meta.ts';
import { SYSCTLS } from '../stack/sysctl.ts';
import { commitOf, VERSION } from '../version.ts';
import { commandOf, type ExperimentOptions } from './options.ts';
import type { Plan } from './plan.ts';

/** What the description of a simulated log says of its experiment (src/siftr/meta.ts): `options.command` repeats it. */
export function describeExperiment(options: ExperimentOptions, plan: Plan): RunMeta {
  const tune: Readonly<Record<string, number | undefined>> = plan.tune;
  const values = SYSCTLS.map((d) => [d, plan.siftr.get(d.name) ?? tune[d.field] ?? d.default] as const);
  return {
    program: { name: 'xsiftr', version: VERSION, commit: commitOf(), node: process.versions.node },
    kernel: null,
    interfaces: [{ name: 'sim', driver: 'sim', bus: null, mtu: plan.mtu, mode: 'virtual time', offloads: null }],
    options: { command: commandOf({ ...options, seed: plan.seed }), ...options },
    sysctls: Object.fromEntries(values.filter(([d, v]) => v !== d.default).map(([d, v]) => [d.name, v])),
    congestion_control: [...new Set(plan.flows.map((f) => f.cc))].join(','),
    seed: plan.seed,
  };
}
