/** What `cargo xtask figures memory` drives: as the browser tests, but one browser for each measurement. */
import { defineConfig } from '@playwright/test';
import tests from './playwright.config.ts';

export default defineConfig({ ...tests, testDir: 'figures', timeout: 300_000 });
