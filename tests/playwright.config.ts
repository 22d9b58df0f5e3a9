/**
 * The browser tests: real servers (`FED_BBPT`, the built binary), a real browser (`CHROMIUM`), the built page.
 * `cargo xtask test --only browser` builds what they need and sets both variables.
 */
import { defineConfig } from '@playwright/test';
import { CHROMIUM } from './browser/support/paths.ts';

/** `WEBGPU=hardware`: the machine's own graphics device, through Vulkan; else SwiftShader, which Chromium brings along. */
export const HARDWARE = process.env['WEBGPU'] === 'hardware';
const ADAPTER = HARDWARE ? ['--enable-features=Vulkan', '--use-angle=vulkan', '--disable-vulkan-surface', '--ignore-gpu-blocklist'] : ['--use-webgpu-adapter=swiftshader'];

export default defineConfig({
  testDir: 'browser',
  outputDir: 'test-results',
  // The tests share two servers and load every core by themselves.
  workers: 1,
  fullyParallel: false,
  // A test that passes only on a second try has found something.
  retries: 0,
  forbidOnly: process.env['CI'] !== undefined,
  // Limits, not expectations: nothing waits for them but what would fail anyway.
  timeout: 150_000,
  expect: { timeout: 30_000 },
  reporter: [['list']],
  use: {
    browserName: 'chromium',
    headless: true,
    viewport: { width: 1100, height: 900 },
    actionTimeout: 30_000,
    navigationTimeout: 30_000,
    trace: 'off',
    screenshot: 'only-on-failure',
    launchOptions: {
      executablePath: CHROMIUM,
      args: [
        // In containers the tests often run as root, where Chromium's sandbox does not start.
        '--no-sandbox',
        '--enable-unsafe-webgpu',
        ...ADAPTER,
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-default-apps',
        '--disable-sync',
        '--disable-dev-shm-usage',
      ],
    },
  },
});
