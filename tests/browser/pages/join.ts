/** The data owner's page. */
import { expect, type Locator, type Page } from '@playwright/test';

export class JoinPage {
  constructor(readonly page: Page) {}

  id(testId: string): Locator {
    return this.page.getByTestId(testId);
  }

  /** The same test id stands in several views; this is the one of the running training. */
  running(testId: string): Locator {
    return this.page.locator('#running').getByTestId(testId);
  }

  /** Opens an invite link and waits until data can be chosen. */
  async open(link: string): Promise<void> {
    await this.page.goto(link);
    await expect(this.page.locator('#setup')).toBeVisible();
  }

  /** Takes the built-in handwriting of this number. */
  async chooseBuiltin(owner: number, count = 100): Promise<void> {
    await this.page.locator('#panel-builtin summary').click();
    await this.id('builtin-owner').fill(String(owner));
    await this.id('builtin-count').fill(String(count));
    await this.id('choose-builtin').click();
    await expect(this.id('data-report')).toBeVisible();
  }

  /** Agrees and waits until training has begun. */
  async start(): Promise<void> {
    await this.id('start').click();
    await expect(this.page.locator('#running')).toBeVisible();
  }

  /** From the invite link to training. */
  async takePart(link: string, owner: number, count = 100): Promise<void> {
    await this.open(link);
    await this.chooseBuiltin(owner, count);
    await this.start();
  }

  /** The number behind a figure of the running view, or NaN while it shows none. */
  async value(testId: string): Promise<number> {
    const value = await this.running(testId).getAttribute('data-value');
    return value === null ? NaN : Number(value);
  }

  /** Waits until a figure has passed a number. */
  async above(testId: string, bound: number, timeout = 60_000): Promise<number> {
    let value = NaN;
    await expect
      .poll(async () => (value = await this.value(testId)), { message: `${testId} above ${bound}`, timeout, intervals: [100, 250] })
      .toBeGreaterThan(bound);
    return value;
  }

  /** Waits until a figure has passed a number, for as long as the federation lasts: its end decides, not a clock. */
  async reaches(testId: string, bound: number): Promise<void> {
    let value = NaN;
    const decided = async (): Promise<boolean> => {
      const finished = await this.id('finished').isVisible();
      value = await this.value(testId);
      return finished || value > bound;
    };
    await expect.poll(decided, { message: `${testId} above ${bound}, or the end`, timeout: 300_000, intervals: [100, 250] }).toBe(true);
    expect(value, testId).toBeGreaterThan(bound);
  }

  /** The visible error of a part of the page. */
  trouble(code?: string): Locator {
    return this.page.locator(`[data-testid="trouble"]${code === undefined ? '' : `[data-code="${code}"]`}`);
  }

  /** Whether the element or one around it is announced to screen readers at once. */
  async announced(locator: Locator): Promise<boolean> {
    return locator.evaluate((element) => element.closest('[role="alert"]') !== null);
  }

  async reports(text: string | RegExp): Promise<void> {
    await expect(this.id('data-report')).toContainText(text);
  }

  /** Sets the files of the file input, as a person does in the dialog. */
  async files(files: Parameters<Locator['setInputFiles']>[0]): Promise<void> {
    await this.id('tab-files').click();
    await this.id('pick-files').setInputFiles(files);
  }

  /** Types lines of labels and texts, as somebody without a file does. */
  async paste(content: string): Promise<void> {
    await this.id('tab-paste').click();
    await this.id('paste-text').fill(content);
    await this.id('paste-use').click();
  }

  /** What the Worker stored: the participant's record, byte by byte. */
  async storedMembership(federation: string): Promise<number[]> {
    return this.page.evaluate(
      (key) =>
        new Promise<number[]>((resolve, reject) => {
          const open = indexedDB.open('fed-bbpt');
          open.onerror = () => reject(open.error);
          open.onsuccess = () => {
            const get = open.result.transaction('records').objectStore('records').get(key);
            get.onerror = () => reject(get.error);
            get.onsuccess = () => {
              open.result.close();
              resolve([...((get.result as Uint8Array | undefined) ?? [])]);
            };
          };
        }),
      `${federation}/membership`,
    );
  }

  /** Deletes records that the Worker stored, as a browser that loses a part of its data does. Ends the page's Worker. */
  async forget(federation: string, keys: string[]): Promise<void> {
    await this.page.goto(new URL('/favicon.ico', this.page.url()).href);
    await this.page.evaluate(
      (names) =>
        new Promise<void>((resolve, reject) => {
          const open = indexedDB.open('fed-bbpt');
          open.onerror = () => reject(open.error);
          open.onsuccess = () => {
            const transaction = open.result.transaction('records', 'readwrite');
            for (const name of names) transaction.objectStore('records').delete(name);
            transaction.onerror = () => reject(transaction.error);
            transaction.oncomplete = () => {
              open.result.close();
              resolve();
            };
          };
        }),
      keys.map((key) => `${federation}/${key}`),
    );
  }
}
