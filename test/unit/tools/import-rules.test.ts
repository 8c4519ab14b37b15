import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkFile } from '../../../tools/import-rules.ts';

const root = join(import.meta.dirname, '../../..');
const messages = (file: string, text: string) => checkFile(file, text).map((violation) => violation.message);

describe('the order of the folders', () => {
  test('every file of src/ keeps it', () => {
    const files = globSync('src/**/*.ts', { cwd: root });
    expect(files.length).toBeGreaterThan(0);
    expect(files.flatMap((file) => checkFile(file, readFileSync(join(root, file), 'utf8')))).toEqual([]);
  });

  test.each([
    ['src/cli/main.ts', '../daemon/daemon.ts'],
    ['src/cli/main.ts', '../rings/link.ts'],
    ['src/daemon/shard.ts', '../driver/xsk.ts'],
    ['src/daemon/services/http.ts', '../../net/net.ts'],
    ['src/driver/xsk.ts', '../rings/link.ts'],
    ['src/siftr/hook.ts', '../stack/net/pfil.ts'],
    ['src/stack/net/arp.ts', '../../rings/mbuf.ts'],
    ['src/stack/net/arp.ts', '../wire/arp.ts'],
    ['src/index.ts', './daemon/daemon.ts'],
  ])('%s may import %s', (file, name) => {
    expect(messages(file, `import { a } from '${name}';`)).toEqual([]);
  });

  test.each([
    ['src/stack/net/arp.ts', '../../driver/xsk.ts', 'src/stack may not import src/driver'],
    ['src/rings/mbuf.ts', '../stack/stack.ts', 'src/rings may not import src/stack'],
    ['src/driver/xsk.ts', '../daemon/shard.ts', 'src/driver may not import src/daemon'],
    ['src/views/kstat.ts', '../siftr/hook.ts', 'src/views may not import src/siftr'],
    ['src/net/socket.ts', '../driver/xsk.ts', 'src/net may not import src/driver'],
    ['src/daemon/shard.ts', '../cli/main.ts', 'src/daemon may not import src/cli'],
    ['src/daemon/shard.ts', '../index.ts', 'src/daemon may not import src/index'],
    ['src/cli/main.ts', '../../test/lab/netns.ts', "'../../test/lab/netns.ts' lies outside src/"],
    ['src/cli/main.ts', '../odd/thing.ts', 'src/odd has no rank'],
  ])('%s may not import %s', (file, name, message) => {
    expect(messages(file, `import { a } from '${name}';`)).toEqual([expect.stringContaining(message)]);
  });

  test('a folder without a place in the order is reported', () => {
    expect(messages('src/odd/thing.ts', '')).toEqual([expect.stringContaining('src/odd has no rank')]);
  });

  test.each([
    ["import type { A } from '../daemon/a.ts';"],
    ["import '../daemon/a.ts';"],
    ["export * from '../daemon/a.ts';"],
    ["export { a as b } from '../daemon/a.ts';"],
    ["const a = await import('../daemon/a.ts');"],
    ["type A = import('../daemon/a.ts').A;"],
    ['import {\n  a,\n  b,\n} from "../daemon/a.ts";'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the sample is source text
    ["const t = `${await import('../daemon/a.ts')}`;"],
    ["const r = /'/; import '../daemon/a.ts';"],
  ])('%s is seen as an import', (text) => {
    expect(messages('src/driver/x.ts', text)).toEqual([expect.stringContaining('may not import src/daemon')]);
  });

  test.each([
    ["// import '../daemon/a.ts';"],
    ["/** import { a } from '../daemon/a.ts'; */"],
    [`const text = "import '../daemon/a.ts'";`],
    ["const text = `import '../daemon/a.ts'`;"],
    ["const list = Array.from('../daemon/a.ts');"],
  ])('%s is no import', (text) => {
    expect(messages('src/driver/x.ts', text)).toEqual([]);
  });

  test('the line of the import is named', () => {
    expect(checkFile('src/rings/x.ts', "import './y.ts';\n\nimport 'node:fs';\n")).toEqual([
      { file: 'src/rings/x.ts', line: 3, message: "src/rings is pure and imports 'node:fs'" },
    ]);
  });
});

describe('purity of rings, metrics, stack and impair', () => {
  test.each(['rings', 'metrics', 'stack', 'impair'])(
    'src/%s may import neither Node modules nor packages',
    (folder) => {
      expect(
        messages(`src/${folder}/x.ts`, "import { readFileSync } from 'node:fs'; import { z } from 'zod';"),
      ).toHaveLength(2);
    },
  );

  test.each([
    ['const t = Date.now();'],
    ['const t = new Date();'],
    ['const r = Math.random();'],
    ['const t = performance.now();'],
    ['setTimeout(f, 1);'],
    ['queueMicrotask(f);'],
    ['console.log(1);'],
    ['process.exit(1);'],
    ['globalThis.x = 1;'],
    ["const fs = require('./fs.ts');"],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the sample is source text
    ['const s = `${Date.now()}`;'],
    ['const q = a / b; const t = Date.now();'],
  ])('%s is refused', (text) => {
    expect(messages('src/stack/x.ts', text)).toHaveLength(1);
  });

  test.each([
    ['const t = clock.Date;'],
    ['const r = random.random();'],
    ['// Date.now() reads the clock'],
    ["const s = 'Date';"],
    ['const r = /Date/;'],
    ['const m = Math.imul(2, 3);'],
  ])('%s is accepted', (text) => {
    expect(messages('src/stack/x.ts', text)).toEqual([]);
  });

  test('folders that are not pure may read the clock and import Node modules', () => {
    expect(messages('src/daemon/x.ts', "import 'node:fs'; Date.now();")).toEqual([]);
  });
});
