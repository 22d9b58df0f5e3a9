/** The frozen vectors inside wasm: the same cases as natively. */
import { readFile, readdir } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { initSync, measureStep } from '../../wasm/client_wasm.js';
import { initSync as initVectors, selfTest } from '../../wasm-test/vectors.js';

const root = new URL('../../../', import.meta.url);
const folder = new URL('shared/vectors/', root);
const files = (await readdir(folder)).filter((name) => name.endsWith('.json'));

beforeAll(async () => {
  initSync({ module: await readFile(new URL('web/wasm/client_wasm_bg.wasm', root)) });
  initVectors({ module: await readFile(new URL('web/wasm-test/vectors_bg.wasm', root)) });
});

describe('vectors', () => {
  it('all files are there', () => {
    for (const name of ['philox', 'directions', 'prompted', 'nodes', 'handwriting', 'partition', 'open_inference', 'secure_sum']) {
      expect(files).toContain(`${name}.json`);
    }
  });

  it.each(files.map((file) => file.replace('.json', '')))('%s', async (name) => {
    expect(selfTest(name, await readFile(new URL(`${name}.json`, folder), 'utf8'))).toBeGreaterThan(0);
  });

  it('a wrong answer is found', async () => {
    const text = await readFile(new URL('philox.json', folder), 'utf8');
    expect(() => selfTest('philox', text.replace('"answer"', '"counter"'))).toThrow();
    expect(() => selfTest('nothing', '[]')).toThrow('no check');
  });
});

describe('backend', () => {
  it('is the CPU where there is no WebGPU, and says why', async () => {
    const choice = JSON.parse(await measureStep('auto', 32, 4, 2)) as Record<string, unknown>;
    expect(choice).toMatchObject({ name: 'cpu', webgpuMs: null });
    expect(choice['reason']).toContain('WebGPU');
    expect(choice['cpuMs']).toBeGreaterThan(0);
  });
});
