// Times one participant's work in a secure sum of N participants with vectors of D entries, inside wasm as
// visitors get it (same profile), in Node: `node secure_sum.mjs N D`. Ends with one line of JSON:
// {"client_ms_wasm"}. `cargo xtask figures secure-sum-cost` builds the module.
import { readFile } from 'node:fs/promises';

const folder = new URL('../../web/wasm-bench/', import.meta.url);
const { Cohort, initSync } = await import(new URL('secure_sum.js', folder));
initSync({ module: await readFile(new URL('secure_sum_bg.wasm', folder)) });
const [n, d] = process.argv.slice(2).map(Number);
const cohort = new Cohort(n, d);
const times = [];
for (let run = 0; run < 5; run++) {
  const before = performance.now();
  cohort.takePart();
  times.push(performance.now() - before);
}
times.sort((a, b) => a - b);
console.log(JSON.stringify({ client_ms_wasm: times[Math.floor(times.length / 2)] }));
