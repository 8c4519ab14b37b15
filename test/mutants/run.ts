/**
 * Switches clauses of the code off one by one and demands that the tests that show them fail (docs/COMPLIANCE.md has those of RFCs). Each mutant is applied
 * to a copy of the sources in a temporary directory, never in place.
 *
 *   node test/mutants/run.ts [TEXT…]   only mutants whose file, snippet or tests contain one of the texts
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Mutant, mutants, otherMutants } from './mutants.ts';

const root = join(import.meta.dirname, '../..');
/** A mutant may make a test run for ever; that is a failure like another. */
const LIMIT_MS = 60_000;
const SEPARATOR = ' › ';

interface Report {
  testResults: {
    name: string;
    status: string;
    message?: string;
    assertionResults: { title: string; status: string }[];
  }[];
}

/** A copy of what the unit tests need. Dependencies are links, so that what tools cache beside them stays in the copy. */
function copyTree(): string {
  const dir = mkdtempSync(join(tmpdir(), 'xsiftr-mutants-'));
  for (const name of ['src', 'test', 'tools', 'docs', 'vitest.config.ts', 'package.json', 'tsconfig.json']) {
    cpSync(join(root, name), join(dir, name), { recursive: true });
  }
  mkdirSync(join(dir, 'node_modules'));
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (name.startsWith('.')) continue;
    symlinkSync(join(root, 'node_modules', name), join(dir, 'node_modules', name));
  }
  return dir;
}

/** Runs the tests that `list` names; null when they took too long. */
function vitest(dir: string, list: readonly Mutant[], limitMs: number): Promise<Report | null> {
  const kills = [...new Set(list.flatMap((m) => m.kills))];
  const files = [...new Set(kills.map((k) => k.split(SEPARATOR)[0]!))];
  const names = kills.map((k) => template(k.split(SEPARATOR)[1]!)).join('|');
  const out = join(dir, 'report.json');
  rmSync(out, { force: true });
  return new Promise((resolve, reject) => {
    const args = [
      'node_modules/vitest/vitest.mjs',
      'run',
      '--project',
      'unit',
      '--reporter=json',
      `--outputFile=${out}`,
    ];
    const child = spawn(process.execPath, [...args, '-t', names, ...files.map((f) => join('test', f))], {
      cwd: dir,
      stdio: 'ignore',
      detached: true,
    });
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      process.kill(-child.pid!, 'SIGKILL');
    }, limitMs);
    child.on('error', reject);
    child.on('close', () => {
      clearTimeout(timer);
      if (late) resolve(null);
      else {
        try {
          resolve(JSON.parse(readFileSync(out, 'utf8')) as Report);
        } catch (err) {
          reject(new Error(`vitest wrote no report for ${files.join(' ')}: ${String(err)}`));
        }
      }
    });
  });
}

/** The names that a test's template stands for, as a regular expression. */
function template(name: string): string {
  const literal = name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return literal.replace(/%[sdij]|\\\$\\\{\w+\\\}/g, '.*');
}

/** Tests of `wanted` that did not fail. */
function survivors(report: Report, wanted: readonly string[]): string[] {
  return wanted.filter((w) => {
    const [file, name] = w.split(SEPARATOR) as [string, string];
    const result = report.testResults.find((r) => r.name.endsWith(`/test/${file}`));
    // A file that cannot even be loaded shows nothing of the clause.
    const title = new RegExp(`^${template(name)}$`);
    return !result?.assertionResults.some((a) => title.test(a.title) && a.status === 'failed');
  });
}

/** Applies one mutant, runs its tests, takes it back. An empty text when they failed as they should, else what is wrong. */
async function tryMutant(dir: string, m: Mutant): Promise<string> {
  const path = join(dir, m.file);
  const source = readFileSync(path, 'utf8');
  const parts = source.split(m.find);
  if (parts.length !== 2) return `the snippet occurs ${parts.length - 1} times`;
  writeFileSync(path, parts.join(m.replace));
  try {
    const report = await vitest(dir, [m], LIMIT_MS);
    if (report === null) return '';
    const left = survivors(report, m.kills);
    return left.length === 0 ? '' : `survived by ${left.join('; ')}`;
  } finally {
    writeFileSync(path, source);
  }
}

const texts = process.argv.length > 2 ? process.argv.slice(2) : [''];
const chosen = [...mutants, ...otherMutants].filter((m) =>
  [m.file, m.find, m.replace, ...m.kills].some((t) => texts.some((wanted) => t.includes(wanted))),
);
if (chosen.length === 0) {
  process.stderr.write(`${texts.join(' ')}: no mutant contains it\n`);
  process.exit(2);
}
const workers = Math.max(1, Math.min(4, availableParallelism(), chosen.length));
const dirs = Array.from({ length: workers }, copyTree);
const faults: string[] = [];
try {
  const sane = await vitest(dirs[0]!, chosen, 10 * LIMIT_MS);
  const failed = sane?.testResults.filter((r) => r.status !== 'passed').map((r) => r.name) ?? ['in time'];
  if (failed.length > 0) throw new Error(`tests fail without any mutant: ${failed.join(', ')}`);
  const queue = chosen.map((m, i) => ({ m, i }));
  await Promise.all(
    dirs.map(async (dir) => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const { m, i } = next;
        const fault = await tryMutant(dir, m);
        const what = `${m.file}: ${m.find.trim().split('\n')[0]!.slice(0, 70)} → ${m.replace.trim().split('\n')[0]!.slice(0, 40)}`;
        process.stdout.write(`${fault === '' ? 'killed' : 'ALIVE '} ${i + 1}/${chosen.length} ${what}\n`);
        if (fault !== '') faults.push(`${what}\n    ${fault}`);
      }
    }),
  );
} finally {
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
}
process.stdout.write(`${chosen.length - faults.length} of ${chosen.length} mutants killed\n`);
for (const f of faults) process.stdout.write(`${f}\n`);
process.exitCode = faults.length === 0 ? 0 : 1;
