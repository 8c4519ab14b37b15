import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkFile } from './import-rules.ts';

// Prints every place under src/ that breaks the order of the folders or the purity of the pure ones; exit 1 if there is one.
const root = join(import.meta.dirname, '..');
const files = globSync('src/**/*.ts', { cwd: root }).sort();
const violations = files.flatMap((file) => checkFile(file, readFileSync(join(root, file), 'utf8')));
for (const { file, line, message } of violations) console.error(`${file}:${line}: ${message}`);
if (violations.length > 0) process.exitCode = 1;
else console.log(`imports: ${files.length} files in order`);
