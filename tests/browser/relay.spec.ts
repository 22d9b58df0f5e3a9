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
import { Wire } from './support/wire.ts';

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

test('a page trains through the relay; it never sees the key, and the aggregator neither key nor token', async ({ house, join, page }) => {
  const folder = await mkdtemp(path(tmpdir(), 'fed-bbpt-relay-'));
  const keys = path(folder, 'keys.toml');
  await writeFile(keys, `[[key]]\nname = "owner"\nsha256 = "${createHash('sha256').update(KEY).digest('hex')}"\n`);
  // No --allow-origin: no page may read what it answers.
  const model = await Child.start(FED_BBPT, ['model-api', '--listen', '127.0.0.1:0', '--keys', keys]);
  // What does not pass here the aggregator can neither store nor log.
  const wire = await Wire.to(house.aggregator);
  const relay = await relayTo(model.url, wire.url);
  const token = new URL(relay.address).pathname.slice(1);
  expect(token).toHaveLength(64);
  const federation = await house.federation({ ...ALONE, 'model.url': 'http://127.0.0.1:9' });

  const asked: string[] = [];
  const seen: string[] = [];
  page.on('request', (request) => {
    asked.push(new URL(request.url()).origin);
    seen.push(JSON.stringify(request.headers()), request.url());
  });
  page.on('response', (response) => seen.push(JSON.stringify(response.headers())));
  await join.open(federation.link.replace(house.aggregator, wire.url));
  await page.locator('#own-model summary').click();
  await join.id('own-model-url').fill(relay.address.replace(token, token.split('').reverse().join('')));
  await join.id('own-model-go').click();
  await page.waitForURL(/\/at\//);
  await expect(page.locator('#setup')).toBeVisible();
  // The token of an earlier start, say: the right one is another fragment of the same page.
  await join.id('try-model').click();
  await expect(join.id('connect-steps')).toHaveAttribute('data-state', 'bad', { timeout: 20_000 });
  await join.id('connect-close').click();
  await join.id('own-model-url').fill(relay.address);
  const loaded = page.waitForEvent('load');
  await join.id('own-model-go').click();
  await loaded;
  await expect(page.locator('#setup')).toBeVisible();
  await page.reload();
  await expect(page.locator('#setup')).toBeVisible();
  await join.chooseBuiltin(13, 50);
  await join.start();
  await join.above('delivered', 0);
  const hosts = new Set(asked.filter((origin) => origin !== wire.url));
  expect([...hosts]).toEqual([new URL(relay.address).origin]);
  expect(seen.filter((text) => text.includes(KEY))).toEqual([]);
  expect(wire.sent.includes(`GET /f/${federation.id}/at/`)).toBe(true);
  const address = [relay.address, `/${token}`, token].map((text) => Buffer.from(text).toString('base64url'));
  for (const secret of [KEY, token, token.slice(0, 12), ...address])
    for (const bytes of [wire.sent, ...(await house.stored())]) expect(bytes.includes(secret), secret).toBe(false);

  // Another page on the same machine that knows the address gets nothing.
  const other = await page.context().newPage();
  await other.goto(`${model.url}/v2`);
  const outcome = await other.evaluate((url) => fetch(`${url}/v2`).then(() => 'read', () => 'refused'), relay.address);
  expect(outcome).toBe('refused');

  relay.stop();
  await wire.close();
  await model.stop();
  await rm(folder, { recursive: true, force: true });
});
