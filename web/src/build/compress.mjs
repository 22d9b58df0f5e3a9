/**
 * Compresses the built pages: `node src/build/compress.mjs write FOLDER` writes `FILE.br` and `FILE.gz` beside every file that is worth
 * it, as the aggregator sends them. `node src/build/compress.mjs size FILE…` prints each file's length in brotli, a line each.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';

/** The kinds of file that compression makes shorter. Pictures are compressed already. */
const KINDS = new Set(['.css', '.html', '.js', '.json', '.svg', '.wasm']);

/** Bytes. What is shorter fits into a packet of the network either way. */
const SHORTEST = 1024;

/** Brotli at its highest quality. With short distances coded directly, WebAssembly becomes shorter, and text no longer. */
const brotli = (content) =>
  promisify(brotliCompress)(content, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: content.length, [constants.BROTLI_PARAM_NDIRECT]: 15 },
  });

/** Writes the compressed copies of what lies below `folder`; gives the names of the files that have them. */
export async function compressFolder(folder) {
  const names = (await readdir(folder, { recursive: true })).filter((name) => KINDS.has(extname(name)));
  // All at once: zlib works in threads of its own.
  const done = names.map(async (name) => {
    const path = join(folder, name);
    const content = await readFile(path);
    if (content.length < SHORTEST) return [];
    await Promise.all([brotli(content).then((shorter) => writeFile(`${path}.br`, shorter)), promisify(gzip)(content, { level: 9 }).then((shorter) => writeFile(`${path}.gz`, shorter))]);
    return [name];
  });
  return (await Promise.all(done)).flat().sort();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [command, ...paths] = process.argv.slice(2);
  if (command === 'write' && paths.length === 1) await compressFolder(paths[0]);
  else if (command === 'size') for (const path of paths) console.log((await brotli(await readFile(path))).length);
  else throw new Error('write FOLDER, or size FILE…');
}
