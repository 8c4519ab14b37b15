import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '../../..');
const dir = mkdtempSync(join(tmpdir(), 'xsiftr-cc-'));
const MODULE = 'create: () => ({ init() {}, ackReceived() {}, congestionSignal() {} })';

/** What loading these gives, in a process of its own: the loader's hook and the list of modules are a process's. */
async function load(
  ...given: string[]
): Promise<{ first?: string; names?: string[]; error?: string; report?: unknown }> {
  const script = `
    import { loadCc } from '${root}/src/load/cc-load.ts';
    import { ccFind, ccNames } from '${root}/src/stack/tcp/cc/registry.ts';
    import { checkModule } from '${root}/src/stack/tcp/cc/kit.ts';
    try {
      const { first, urls } = await loadCc(${JSON.stringify(given)});
      const report = urls.length > 0 ? checkModule(ccFind(ccNames().at(-1))) : null;
      console.log(JSON.stringify({ first, names: ccNames(), report }));
    } catch (err) {
      console.log(JSON.stringify({ error: err.message, code: err.exitCode }));
    }`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { cwd: dir });
  return JSON.parse(stdout);
}

const file = (name: string, text: string) => writeFileSync(join(dir, name), text);

beforeAll(() => {
  file('one.ts', `export default { name: 'one' satisfies string, ${MODULE} };`);
  file('two.js', `export default [{ name: 'two', ${MODULE} }, { name: 'three', ${MODULE} }];`);
  file('own.ts', `import { newRenoModule } from 'xsiftr/cc'; export default newRenoModule('own');`);
  file('taken.js', `export default { name: 'cubic', ${MODULE} };`);
  file('syntax.js', 'export default {');
  file('throws.js', "throw new Error('no way\\nat all');");
  file('none.js', 'export const a = 1;');
  file('empty.js', 'export default [];');
  file('shape.js', "export default { name: 'shape' };");
  mkdirSync(join(dir, 'node_modules/cc-pack'), { recursive: true });
  file('node_modules/cc-pack/package.json', '{"name":"cc-pack","type":"module","exports":"./i.js"}');
  file('node_modules/cc-pack/i.js', `export default { name: 'packed', ${MODULE} };`);
});

afterAll(() => rmSync(dir, { recursive: true }));

const BUILT_IN = ['newreno', 'cubic', 'dctcp', 'bbr', 'bbr1'];

describe('--cc', () => {
  test('takes modules by name, from TypeScript, from JavaScript and from packages; the first is the default', async () => {
    expect(await load('bbr')).toMatchObject({ first: 'bbr', names: BUILT_IN });
    expect(await load('./one.ts', 'newreno')).toMatchObject({ first: 'one', names: [...BUILT_IN, 'one'] });
    expect(await load('newreno', 'two.js', 'cc-pack')).toMatchObject({
      first: 'newreno',
      names: [...BUILT_IN, 'two', 'three', 'packed'],
    });
    expect(await load('./one.ts', join(dir, 'one.ts'))).toMatchObject({ names: [...BUILT_IN, 'one'] });
    expect(await load()).toMatchObject({ first: null, names: BUILT_IN });
  });

  test("lets a file import from 'xsiftr/cc' wherever it lies", async () => {
    expect(await load('./own.ts')).toMatchObject({ first: 'own', report: { ok: true, findings: [] } });
  });

  test.each([
    [
      './gone.ts',
      '--cc ./gone.ts: no such file; allowed are newreno, cubic, dctcp, bbr, bbr1, a file, or an installed package',
    ],
    ['vegas', '--cc vegas: no such module, file or package; allowed are'],
    ['./syntax.js', '--cc ./syntax.js: cannot be loaded: '],
    ['./throws.js', '--cc ./throws.js: cannot be loaded: no way'],
    ['./none.js', '--cc ./none.js: it has no default export; write export default { name, create() }'],
    ['./empty.js', '--cc ./empty.js: its default export is an empty array'],
    ['./shape.js', '--cc ./shape.js: not a congestion-control module: create is not a function'],
    ['./taken.js', '--cc ./taken.js: the name cubic is taken; loaded are newreno, cubic, dctcp, bbr, bbr1'],
  ])('refuses %s in one line, exit status 2', async (given, line) => {
    const { error, ...rest } = await load('newreno', given);
    expect(error).toContain(line);
    expect(error).not.toContain('\n');
    expect(rest).toEqual({ code: 2 });
  });
});

test('the example of docs/write-a-congestion-control.md loads and passes the kit', async () => {
  expect(await load(join(root, 'docs/examples/gentle.ts'))).toMatchObject({
    first: 'gentle',
    report: { ok: true, findings: [] },
  });
});

test('docs/write-a-congestion-control.md shows the example as it is', () => {
  const page = readFileSync(join(root, 'docs/write-a-congestion-control.md'), 'utf8');
  expect(page).toContain(readFileSync(join(root, 'docs/examples/gentle.ts'), 'utf8'));
});
