import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { compressFolder } from './compress.mjs';

test('what is written beside a file is the file, compressed; what gains nothing stays alone', async () => {
  const dist = await mkdtemp(join(tmpdir(), 'fed-bbpt-dist-'));
  try {
    const text = 'let a = 1;\n'.repeat(1000);
    await mkdir(join(dist, 'assets'));
    await writeFile(join(dist, 'assets/a.js'), text);
    await writeFile(join(dist, 'small.css'), 'a {}');
    await writeFile(join(dist, 'picture.png'), text);
    expect(await compressFolder(dist)).toEqual(['assets/a.js']);
    expect((await readdir(dist, { recursive: true })).sort()).toEqual(['assets', 'assets/a.js', 'assets/a.js.br', 'assets/a.js.gz', 'picture.png', 'small.css']);
    const brotli = await readFile(join(dist, 'assets/a.js.br'));
    expect(brotli.length).toBeLessThan(100);
    expect(brotliDecompressSync(brotli).toString()).toBe(text);
    expect(gunzipSync(await readFile(join(dist, 'assets/a.js.gz'))).toString()).toBe(text);
  } finally {
    await rm(dist, { recursive: true });
  }
});
