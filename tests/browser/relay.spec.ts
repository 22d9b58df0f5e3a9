/** A page takes part at a model API that refuses browsers and wants a key, through `fed-bbpt relay`. */
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join as path } from 'node:path';
import { Child } from './support/child.ts';
import { ALONE } from './support/house.ts';
import { FED_BBPT } from './support/paths.ts';
import { expect, test } from './support/test.ts';

const KEY = 'sk-a-key-that-no-page-sees';

/** The address that a relay prints for the page. */
function relayTo(upstream: string, origin: string): Promise<{ address: string; stop: () => void }> {
  const args = ['relay', '--upstream', upstream, '--listen', '127.0.0.1:0', '--allow-origin', origin];
  const child = spawn(FED_BBPT, args, { env: { ...process.env, FED_BBPT_MODEL_KEY: KEY }, stdio: ['ignore', 'pipe', 'ignore'] });
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the relay ended with ${code}`)));
    createInterface(child.stdout).on('line', (line) => {
      const address = /^the model's address on the page: (\S+)$/.exec(line)?.[1];
      if (address !== undefined) resolve({ address, stop: () => child.kill() });
    });
  });
}

test('a page trains through the relay, and never sees the key', async ({ house, join, page }) => {
  const folder = await mkdtemp(path(tmpdir(), 'fed-bbpt-relay-'));
  const keys = path(folder, 'keys.toml');
  await writeFile(keys, `[[key]]\nname = "owner"\nsha256 = "${createHash('sha256').update(KEY).digest('hex')}"\n`);
  // No --allow-origin: no page may read what it answers.
  const model = await Child.start(FED_BBPT, ['model-api', '--listen', '127.0.0.1:0', '--keys', keys]);
  const relay = await relayTo(model.url, house.aggregator);
  const federation = await house.federation({ ...ALONE, 'model.url': 'http://127.0.0.1:9' });

  const asked: string[] = [];
  const seen: string[] = [];
  page.on('request', (request) => {
    asked.push(new URL(request.url()).origin);
    seen.push(JSON.stringify(request.headers()), request.url());
  });
  page.on('response', (response) => seen.push(JSON.stringify(response.headers())));
  await join.open(federation.link);
  await page.locator('#own-model summary').click();
  await join.id('own-model-url').fill(relay.address);
  await join.id('own-model-go').click();
  await page.waitForURL(/\/at\//);
  await expect(page.locator('#setup')).toBeVisible();
  await join.chooseBuiltin(13, 50);
  await join.start();
  await join.above('delivered', 0);
  const hosts = new Set(asked.filter((origin) => origin !== house.aggregator));
  expect([...hosts]).toEqual([new URL(relay.address).origin]);
  expect(seen.filter((text) => text.includes(KEY))).toEqual([]);

  // Another page on the same machine that knows the address gets nothing.
  const other = await page.context().newPage();
  await other.goto(`${model.url}/v2`);
  const outcome = await other.evaluate((url) => fetch(`${url}/v2`).then(() => 'read', () => 'refused'), relay.address);
  expect(outcome).toBe('refused');

  relay.stop();
  await model.stop();
  await rm(folder, { recursive: true, force: true });
});
