/** Playwright's `test` with the servers, and a page that fails the test when its script throws. */
import { test as base, type Page } from '@playwright/test';
import { JoinPage } from '../pages/join.ts';
import { House } from './house.ts';

interface Fixtures {
  /** The join page in the test's own browser context. */
  join: JoinPage;
}

/** Collects what a page's script throws; empty is what one wants. */
export function errorsOf(page: Page): string[] {
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  return errors;
}

export const test = base.extend<Fixtures, { house: House }>({
  house: [
    // Playwright wants a pattern of fixtures here, and this one needs none.
    async ({}, use) => {
      const house = await House.open();
      await use(house);
      await house.close();
    },
    { scope: 'worker' },
  ],
  page: async ({ page }, use) => {
    const errors = errorsOf(page);
    await use(page);
    expect(errors, 'errors thrown in the page').toEqual([]);
  },
  join: async ({ page }, use) => {
    await use(new JoinPage(page));
  },
});

export const expect = test.expect;
