/** What a visitor downloads stays small. */
import { firstLoad } from './support/load.ts';
import { expect, test } from './support/test.ts';

/** Bytes on the wire: headers and compressed bodies. */
const BUDGET = 520_000;

test('the first load of a page stays within its budget', async ({ house, browser }) => {
  const bytes = await firstLoad(browser, house);
  // The module alone is longer than this: less would mean that it was not seen.
  expect(bytes).toBeGreaterThan(100_000);
  expect(bytes).toBeLessThanOrEqual(BUDGET);
});
