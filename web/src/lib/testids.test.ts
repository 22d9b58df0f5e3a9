import { describe, expect, it } from 'vitest';
import { TEST_IDS } from './testids';

const pages = import.meta.glob<string>(['../../*.html'], { query: '?raw', import: 'default', eager: true });
const scripts = import.meta.glob<string>(['../{lib,join,dashboard,organiser}/*.ts', '!../**/*.test.ts', '!./testids.ts'], { query: '?raw', import: 'default', eager: true });
const script = Object.values(scripts).join('\n');

describe.each(Object.entries(TEST_IDS))('%s.html', (page, groups) => {
  const html = pages[`../../${page}.html`] ?? '';
  it.each(Object.values(groups).flat())('has %s', (id) => {
    const made = script.includes(`'data-testid': '${id}'`);
    expect(made || html.includes(`data-testid="${id}"`)).toBe(true);
  });
});

it('every test id of the pages is on the list', () => {
  for (const [page, groups] of Object.entries(TEST_IDS)) {
    const listed: string[] = Object.values(groups).flat();
    const present = [...(pages[`../../${page}.html`] ?? '').matchAll(/data-testid="([^"]+)"/g)].map((match) => match[1] ?? '');
    expect(present.length).toBeGreaterThan(0);
    expect(present.filter((id) => !listed.includes(id)), page).toEqual([]);
  }
});
