/** Bytes on the wire of the heaviest first page load. Writes `FIGURE_OUT`. */
import { writeFile } from 'node:fs/promises';
import { firstLoad } from '../browser/support/load.ts';
import { test } from '../browser/support/test.ts';

test('bytes of the first page load', async ({ house, browser }) => {
  const page_wire_bytes = await firstLoad(browser, house);
  await writeFile(process.env['FIGURE_OUT'] ?? test.info().outputPath('sizes.json'), JSON.stringify({ page_wire_bytes }));
});
