/** Where the programs under test and the built page lie. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** The command line under test; its development build unless stated. */
export const FED_BBPT = process.env['FED_BBPT'] ?? `${root}target/debug/fed-bbpt`;

/** The built page. */
export const WEB = process.env['FED_BBPT_WEB'] ?? `${root}web/dist`;

/** Small models of texts of random weights, each in a folder in the layout of the Hugging Face hub. */
export const TEXT_MODELS = `${root}server/model-api/tests/text`;
/** The masked language model among them. */
export const TEXT_MODEL = `${root}server/model-api/tests/text/masked`;

/** A Chromium of the system; Playwright's own is not downloaded. */
export const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium';

/** Says what to do when something was not built, instead of failing somewhere later. */
export function checkPaths(): void {
  for (const path of [FED_BBPT, `${WEB}/join.html`, CHROMIUM]) {
    if (!existsSync(path)) throw new Error(`${path} is missing: run \`cargo xtask test --only browser\`, which builds or installs it`);
  }
}
