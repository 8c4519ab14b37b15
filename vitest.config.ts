import { defineConfig } from 'vitest/config';

const major = Number(process.versions.node.split('.')[0]);
if (major < 24) {
  throw new Error(
    `tests need the pinned Node (24 or newer), this is ${process.versions.node}: use make test or npx vitest`,
  );
}

/** A folder of tests; those that use network namespaces and both processor cores run one file at a time. */
function folder(name: string, options: { serial: boolean; timeout: number }) {
  return {
    test: {
      name,
      include: [`test/${name}/**/*.test.ts`],
      environment: 'node',
      pool: 'forks' as const,
      fileParallelism: !options.serial,
      testTimeout: options.timeout,
      hookTimeout: options.timeout,
      sequence: { groupOrder: options.serial ? 1 : 0 },
      // What a poll waits for is a process that starts or a packet on its way; one second says how busy the machine is.
      expect: { poll: { timeout: 10_000 } },
    },
  };
}

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      folder('unit', { serial: false, timeout: 20_000 }),
      folder('sim', { serial: false, timeout: 60_000 }),
      folder('veth', { serial: true, timeout: 120_000 }),
      folder('browser', { serial: true, timeout: 30_000 }),
      folder('clients', { serial: true, timeout: 120_000 }),
      folder('pack', { serial: true, timeout: 300_000 }),
    ],
  },
});
