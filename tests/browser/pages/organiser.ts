/** The organiser's page. */
import { expect, type Locator, type Page } from '@playwright/test';

export class OrganiserPage {
  constructor(readonly page: Page) {}

  id(testId: string): Locator {
    return this.page.getByTestId(testId);
  }

  /** The field of a setting: `federation.rounds`. */
  field(path: string): Locator {
    return this.id(`task-${path.replaceAll('.', '-')}`);
  }

  async signIn(origin: string, token: string): Promise<void> {
    await this.page.goto(`${origin}/organiser`);
    await this.id('admin-token').fill(token);
    await this.id('sign-in').click();
  }

  /** The invite link of the federation that was just created. */
  async createdLink(): Promise<string> {
    await expect(this.id('created')).toBeVisible();
    return this.id('created').getByTestId('invite-link').inputValue();
  }

  row(federation: string): Locator {
    return this.page.locator(`[data-testid="federation-row"][data-federation="${federation}"]`);
  }
}

/** The federation that an invite link belongs to. */
export function federationOf(link: string): string {
  return /\/f\/([^/]+)\//.exec(new URL(link).pathname)?.[1] ?? '';
}
