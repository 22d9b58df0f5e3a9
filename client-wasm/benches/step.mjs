// Times one optimiser step (224×224, K = 5 directions, both signs, B = 64, generator `statistic`) inside the
// built wasm module, in Node. Ends with one line of JSON: {"bytes", "wasm_cpu_ms"}. Build it first:
// `cargo xtask build`.
import { readFile } from 'node:fs/promises';

const folder = new URL('../../web/wasm/', import.meta.url);
const { initSync, measureStep } = await import(new URL('client_wasm.js', folder));
initSync({ module: await readFile(new URL('client_wasm_bg.wasm', folder)) });
const [side, images, directions, runs] = [224, 64, 5, 7];
const times = [];
for (let run = 0; run < runs; run++) {
  times.push(JSON.parse(await measureStep('auto', side, images, directions)).cpuMs);
}
times.sort((a, b) => a - b);
const bytes = 2 * directions * images * 3 * side * side;
console.log(JSON.stringify({ bytes, wasm_cpu_ms: times[Math.floor(runs / 2)] }));
