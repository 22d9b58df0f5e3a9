/** Step 2: what is sent where, the owner's own model API, and settings. */
import { byId, show } from '../lib/dom';
import { host } from '../lib/format';
import { embeddingsFrom, runsHere, sendsLabels, showPlace, type Inputs } from '../lib/inputs';
import { joinAddress, normaliseModelUrl, type JoinAddress } from '../lib/links';
import type { BackendChoice, FromWorker } from '../worker/protocol';
import { modelAmount, organiserAmount } from './amounts';
import { elsewhere } from './agreed';
import { terms } from './terms';

type Opened = Extract<FromWorker, { type: 'opened' }>;

/** Shows the most that the model gets; for texts with their size, once they are loaded. */
export function showModelAmount(opened: Opened, inputs: Inputs, bytesPerQuery: number | null): void {
  // On this device nothing is sent, so no bytes count.
  show(document, 'model-amount', modelAmount(opened.trainingQueries, runsHere(opened.task) ? null : bytesPerQuery, inputs));
}

/** Fills in the hosts. `fromLink`: the model's address is the link's, not the task's. */
export function showHosts(opened: Opened, inputs: Inputs, fromLink: boolean): void {
  const { summary } = opened;
  const here = runsHere(opened.task);
  showPlace(document, here);
  const files = embeddingsFrom(opened.task);
  const addresses = new Set([location.origin, opened.modelOrigin, ...(files === undefined ? [] : [new URL(files).origin])]);
  // A model's files may be at the page's own origin.
  byId('addresses', HTMLElement).textContent = `This page talks to exactly ${['one address', 'two addresses', 'three addresses'][addresses.size - 1] ?? ''}.`;
  for (const element of document.querySelectorAll<HTMLElement>('[data-embeddings]')) element.hidden = files === undefined;
  if (files !== undefined) show(document, 'embeddings-host', host(files));
  for (const element of document.querySelectorAll<HTMLElement>('[data-labels-sent]')) element.hidden = !sendsLabels(opened.task);
  show(document, 'model-host', host(opened.modelOrigin));
  show(document, 'organiser-host', location.host);
  const words = elsewhere(opened.modelUrl, location.origin, fromLink);
  for (const element of document.querySelectorAll<HTMLElement>('[data-show="model-elsewhere"]')) element.hidden = words === null;
  show(document, 'model-elsewhere', words ?? '');
  for (const element of document.querySelectorAll<HTMLElement>('[data-plain]')) element.hidden = opened.sum !== null;
  const { promise, gets, learns, never, open } = terms(opened.sum, opened.noise, summary.dim, inputs, here);
  show(document, 'promise', promise);
  show(document, 'organiser-gets', gets);
  show(document, 'organiser-learns', learns);
  show(document, 'organiser-never', never);
  show(document, 'open-terms', open);
  showModelAmount(opened, inputs, inputs === 'texts' ? null : opened.bytesPerQuery);
  if (opened.text !== undefined) {
    show(document, 'label-words', opened.text.words.join(', '));
    show(document, 'no-prompt', opened.text.shown);
  }
  show(document, 'organiser-amount', organiserAmount(summary.steps, opened.bytesPerUpdate));
}

/** The model's key, from the field that it was typed into. */
export function apiKey(): string | null {
  const typed = ['api-key', 'resume-api-key'].map((id) => byId(id, HTMLInputElement).value.trim());
  return typed.find((key) => key !== '') ?? null;
}

/** The backend as the address says it (`?backend=cpu`); anything else is "auto". */
export function backendOf(search: string): BackendChoice {
  const asked = new URLSearchParams(search).get('backend');
  return asked === 'cpu' || asked === 'webgpu' ? asked : 'auto';
}

/** Whether pictures are prepared ahead of time: yes, unless the address says `?prepare=off`. Results are the same; the switch is for comparisons. */
export function preparesOf(search: string): boolean {
  return new URLSearchParams(search).get('prepare') !== 'off';
}

/** Connects the field for the owner's own model API and the choice of the backend; both reload the page. */
export function wireSettings(address: JoinAddress, invite: string | null): void {
  const field = byId('own-model-url', HTMLInputElement);
  const fault = byId('own-model-fault', HTMLElement);
  const go = (modelUrl: string | null): void => location.assign(joinAddress({ federation: address.federation, modelUrl }, invite, location.search));

  byId('own-model-form', HTMLFormElement).addEventListener('submit', (event) => {
    event.preventDefault();
    const url = normaliseModelUrl(field.value);
    const valid = url !== null;
    field.setAttribute('aria-invalid', String(!valid));
    fault.textContent = valid ? '' : 'This is not an address. It looks like http://localhost:8701 or https://models.hospital.example.';
    if (valid) go(url);
    else field.focus();
  });
  if (address.modelUrl !== null) {
    field.value = address.modelUrl;
    byId('own-model', HTMLDetailsElement).open = true;
    byId('own-model-back', HTMLElement).hidden = false;
    byId('own-model-reset', HTMLAnchorElement).addEventListener('click', (event) => {
      event.preventDefault();
      go(null);
    });
  }

  const backend = byId('backend-choice', HTMLSelectElement);
  backend.value = backendOf(location.search);
  backend.addEventListener('change', () => {
    const search = new URLSearchParams(location.search);
    search.set('backend', backend.value);
    location.search = search.toString();
  });
}
