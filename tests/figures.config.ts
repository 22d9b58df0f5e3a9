/** What `cargo xtask figures memory` drives: as the browser tests, but one browser for each measurement. */
import { defineConfig } from '@playwright/test';
import tests from './playwright.config.ts';

const launch = tests.use?.launchOptions;

export default defineConfig({
  ...tests,
  testDir: 'figures',
  timeout: 300_000,
  use: { ...tests.use, launchOptions: { ...launch, args: [...(launch?.args ?? []), '--enable-precise-memory-info'] } },
});
