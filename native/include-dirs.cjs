// Prints the include folders that the addon needs, separated by semicolons as CMake wants them. Fails when one is missing.
const { existsSync } = require('node:fs');
const { dirname, join } = require('node:path');

function packageDir(name) {
  try {
    return dirname(require.resolve(`${name}/package.json`));
  } catch {
    return null;
  }
}

// uv.h is not part of Node-API; it comes with Node itself.
const pinned = packageDir(`node-linux-${process.arch}`);
const uvDirs = [pinned, dirname(dirname(process.execPath))]
  .filter((d) => d !== null)
  .map((d) => join(d, 'include/node'));
const uv = uvDirs.find((d) => existsSync(join(d, 'uv.h')));
const dirs = [require('node-addon-api').include_dir, require('node-api-headers').include_dir, uv];
if (dirs.some((d) => d === undefined || !existsSync(d))) process.exit(1);
process.stdout.write(dirs.join(';'));
