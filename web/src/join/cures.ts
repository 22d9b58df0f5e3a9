/** How to fix a model API that cannot be used: settings to change, by the error's code and by the server that it may be. Pure. */

import { DIALECT_HELP, type DialectHelp } from '../generated/dialect-help';

export interface Situation {
  /** The trouble's stable code. */
  code: string;
  /** `openai`, `huggingface`, `open-inference`, … */
  dialect: string;
  /** The model API's address. */
  url: string;
  /** This page's origin. */
  page: string;
  /** The model's name in the task. */
  model: string;
  /** The browser's permission for requests to this device or its network; null if it has no such permission. */
  localNetwork: 'granted' | 'denied' | 'prompt' | null;
}

export interface Cure {
  /** Whom the fix concerns: a server, a person, or the browser. */
  who: string;
  what: string;
  /** Text to type or paste, if any. */
  setting?: string;
}

/** Possible fixes, likeliest first. */
export function cures(situation: Situation): Cure[] {
  const own = ofDialect(situation);
  switch (situation.code) {
    case 'model_cors':
    case 'model_unreachable':
      return unreachable(situation);
    case 'model_slow':
      return [{ who: 'The model’s provider', what: 'Check whether it is overloaded or still loading. A slow model needs more time in the task:', setting: 'model.calls.time_out_ms = 120000' }];
    case 'model_unauthorized':
      return [{ who: 'You', what: 'Check that the key has no spaces around it, is this provider’s, and may use this model. A local server without keys needs none.' }];
    case 'model_not_found':
    case 'model_disagrees':
      return [{ who: 'The organiser', what: `The task asks for “${situation.model}”. The server’s own list shows what it is called there:`, setting: filled(helpOf(situation).listing, situation) }, ...own];
    case 'model_not_this_protocol': {
      const others = DIALECT_HELP.filter(({ name }) => name !== situation.dialect).map(({ name }) => `"${name}"`);
      const another = { who: 'The organiser', what: `The task names the dialect “${situation.dialect}”. This server may need another one:`, setting: `model.dialect = ${others[0] ?? ''}   # or ${others.slice(1).join(', ')}` };
      return own.length > 0 ? own : [another];
    }
    case 'model_busy':
      return [{ who: 'The organiser', what: 'The provider limits how often it can be asked. Set a lower rate in the task:', setting: 'model.calls.per_second = 5' }];
    case 'model_too_large':
      return [{ who: 'The organiser', what: 'Make requests smaller, in the task:', setting: 'model.calls.batch = 8' }];
    case 'model_out_of_quota':
      return [{ who: 'You', what: 'The account behind the key has no credit left. Add some at the provider, or use another key.' }];
    case 'model_wrong_shape':
      return [{ who: 'The organiser', what: 'The model returns a different number of classes than the task says:', setting: 'model.output.classes = …' }];
    default:
      return own;
  }
}

function unreachable(situation: Situation): Cure[] {
  const { url, page, code, localNetwork } = situation;
  const [model, own] = [parsed(url), parsed(page)];
  const found: Cure[] = [];
  if (model === null) return found;
  const near = isNear(model.hostname);
  if (own?.protocol === 'https:' && model.protocol === 'http:' && !isLoopback(model.hostname)) {
    found.push({ who: 'Your browser', what: 'This page was loaded over https, so browsers refuse to call an http address from it (mixed content). Give the model an https address, or run the relay on this device and use its address:', setting: `fed-bbpt relay --upstream ${url} --allow-origin ${page}` });
  }
  if (near && own !== null && !isNear(own.hostname) && localNetwork !== 'granted') {
    found.push({
      who: 'Your browser',
      what:
        localNetwork === 'denied'
          ? 'It has been told not to let this page reach your own network. To allow it again, click the icon to the left of the address, then Site settings, then Local network access.'
          : 'It asks whether this page may reach devices on your own network. Choose “Allow”, then try again.',
    });
  }
  if (code === 'model_unreachable') {
    found.push({ who: 'The server', what: 'Check that it is running: open its address in another tab.', setting: model.origin });
    if (model.protocol === 'https:') found.push({ who: 'The certificate', what: 'If that tab warns of an unsafe connection, browsers do not trust the server’s certificate. It needs one that they trust, for example from Let’s Encrypt.' });
  }
  found.push(...allowing(situation));
  return found;
}

/** The setting of each server that allows this page, and what helps with any server. */
function allowing(situation: Situation): Cure[] {
  const { page, url } = situation;
  const relay: Cure = { who: 'Any other server, or one that you cannot change', what: 'Run the relay on this device and use the address that it prints:', setting: `fed-bbpt relay --upstream ${url} --allow-origin ${page}` };
  return [...ofDialect(situation), relay];
}

/** What the task’s dialect advises; a server whose default port the address has comes first. */
function ofDialect(situation: Situation): Cure[] {
  const port = parsed(situation.url)?.port ?? '';
  const found = helpOf(situation).cures.filter(({ codes }) => codes.includes(situation.code));
  const likely = found.filter((cure) => String(cure.port) === port);
  return [...likely, ...found.filter((cure) => !likely.includes(cure))].map(({ who, what, setting }) => ({ who, what, ...(setting === '' ? {} : { setting: filled(setting, situation) }) }));
}

function helpOf({ dialect }: Situation): DialectHelp {
  return DIALECT_HELP.find(({ name }) => name === dialect) ?? DIALECT_HELP[0];
}

function filled(text: string, { url, page, model }: Situation): string {
  const values: Record<string, string> = { url, page, model, versioned: withVersion(url) };
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole);
}

function withVersion(url: string): string {
  return url.endsWith('/v1') ? url : `model.url = "${url.replace(/\/+$/, '')}/v1"`;
}

function parsed(url: string): URL | null {
  try {
    return new URL(url);
  } catch {
    return null;
  }
}

/** Whether the host is this device itself, which browsers trust over http, too. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || host === '[::1]' || /^127\./.test(host);
}

/** Whether the host is this device or on its network, which is what the browser's permission is about. */
export function isNear(host: string): boolean {
  return isLoopback(host) || host.endsWith('.local') || /^10\.|^192\.168\.|^172\.(1[6-9]|2\d|3[01])\.|^169\.254\./.test(host) || /^\[f[cde]/.test(host);
}
