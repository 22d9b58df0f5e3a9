/** The organiser's page: sign in, create, invite, manage. */
// The tuned task that the command line knows as `handwriting`: fetched when asked for, not part of the script.
import exampleUrl from '../../../server/tasks/handwriting.toml?url';
import type { CreateFederation } from '../generated/CreateFederation';
import type { Fault } from '../generated/Fault';
import { Organiser } from '../lib/api';
import { byId, h, wireDialog } from '../lib/dom';
import { dashboardPath } from '../lib/links';
import { ApiError, asApiError } from '../lib/problem';
import { Tabs } from '../lib/tabs';
import { troubleBox } from '../lib/trouble';
import { TaskForm } from './form';
import { inviteBox } from './invite';
import { Manager } from './manage';
import { fileRequest } from './task';

/** Session storage lasts as long as the tab, and across a reload. */
const TOKEN_KEY = 'fed-bbpt-admin-token';

class OrganiserPage {
  private organiser: Organiser | null = null;
  private manager: Manager | null = null;
  private readonly form = new TaskForm((task) => void this.create({ task, task_toml: null }, true));
  private readonly slot = byId('trouble', HTMLElement);
  private readonly faults = byId('faults', HTMLElement);

  constructor() {
    new Tabs(byId('create-tabs', HTMLElement), () => this.faults.replaceChildren()).select('tab-form');
    wireDialog(byId('close-dialog', HTMLDialogElement));
    wireDialog(byId('revoke-dialog', HTMLDialogElement));
    byId('token-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      void this.signIn(byId('admin-token', HTMLInputElement).value.trim());
    });
    byId('sign-out', HTMLButtonElement).addEventListener('click', () => this.signOut());
    this.wireFile();
    const kept = sessionStorage.getItem(TOKEN_KEY);
    if (kept !== null) void this.signIn(kept);
  }

  private async signIn(token: string): Promise<void> {
    const field = byId('admin-token', HTMLInputElement);
    const fault = byId('token-fault', HTMLElement);
    fault.textContent = '';
    field.removeAttribute('aria-invalid');
    try {
      if (token === '') throw new ApiError(401, 'unauthorized', 'The token is missing', '');
      const organiser = new Organiser(token);
      await organiser.check();
      sessionStorage.setItem(TOKEN_KEY, token);
      field.value = '';
      this.organiser = organiser;
      this.manager = new Manager(organiser, (thrown) => this.trouble(thrown));
      this.manager.start();
      this.showSignedIn(true);
    } catch (thrown) {
      const error = asApiError(thrown);
      if (error.status === 401) sessionStorage.removeItem(TOKEN_KEY);
      fault.textContent = error.status === 401 ? 'This is not the token.' : error.message;
      field.setAttribute('aria-invalid', 'true');
      field.focus();
    }
  }

  private signOut(): void {
    sessionStorage.removeItem(TOKEN_KEY);
    this.manager?.stop();
    this.organiser = this.manager = null;
    this.slot.replaceChildren();
    byId('created', HTMLElement).hidden = true;
    this.showSignedIn(false);
    byId('admin-token', HTMLInputElement).focus();
  }

  private showSignedIn(yes: boolean): void {
    byId('token-card', HTMLElement).hidden = yes;
    byId('signed-in', HTMLElement).hidden = !yes;
    byId('sign-out', HTMLButtonElement).hidden = !yes;
  }

  private wireFile(): void {
    const text = byId('task-text', HTMLTextAreaElement);
    const input = byId('task-file', HTMLInputElement);
    input.addEventListener('change', () => {
      const file = input.files?.[0];
      if (file === undefined) return;
      void file.text().then((content) => {
        text.value = content;
        input.value = '';
        this.faults.replaceChildren();
      });
    });
    byId('task-example', HTMLButtonElement).addEventListener('click', () => {
      fetch(exampleUrl)
        .then((response) => response.text())
        .then((content) => (text.value = content))
        .catch((thrown: unknown) => this.trouble(thrown));
    });
    byId('toml-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      try {
        void this.create(fileRequest(text.value), false);
      } catch (thrown) {
        this.showFaults([{ path: 'file', message: `is not JSON: ${thrown instanceof Error ? thrown.message : String(thrown)}` }]);
      }
    });
  }

  private async create(body: CreateFederation, fromForm: boolean): Promise<void> {
    if (this.organiser === null) return;
    this.faults.replaceChildren();
    this.slot.replaceChildren();
    const buttons = document.querySelectorAll<HTMLButtonElement>('.create-row button');
    for (const button of buttons) button.disabled = true;
    try {
      const invite = await this.organiser.create(body);
      this.form.showFaults([]);
      const created = byId('created', HTMLElement);
      byId('created-invite', HTMLElement).replaceChildren(inviteBox(invite));
      byId('created-watch', HTMLAnchorElement).href = dashboardPath(invite.federation);
      created.hidden = false;
      created.scrollIntoView({ block: 'center' });
      created.focus({ preventScroll: true });
      await this.manager?.refresh();
    } catch (thrown) {
      const error = asApiError(thrown);
      if (error.faults.length === 0) this.trouble(error);
      else if (fromForm) this.showFaults(error.faults, this.form.showFaults(error.faults));
      else this.showFaults(error.faults);
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  }

  /** The list below the form: all faults, or how many are marked beside their fields and those that have no field. */
  private showFaults(all: readonly Fault[], homeless: readonly Fault[] = all): void {
    const beside = all.length - homeless.length;
    const title = all.length === 1 ? 'There is a mistake in the task' : `There are ${all.length} mistakes in the task`;
    this.faults.replaceChildren(
      h(
        'div',
        { class: 'trouble', 'data-code': 'bad_task' },
        h('h3', {}, title),
        h('p', {}, beside > 0 ? 'Nothing was created. The mistakes are marked beside their fields.' : 'Nothing was created. Correct these and try again:'),
        homeless.length > 0 && h('ul', { class: 'faults' }, ...homeless.map((fault) => h('li', { 'data-path': fault.path }, h('code', {}, fault.path), ` ${fault.message}`))),
      ),
    );
  }

  private trouble(thrown: unknown): void {
    const error = asApiError(thrown);
    if (error.status === 401) this.signOut();
    this.slot.replaceChildren(troubleBox({ code: error.code, title: error.title, detail: error.detail, where: 'open' }, null));
    this.slot.scrollIntoView({ block: 'nearest' });
  }
}

new OrganiserPage();
