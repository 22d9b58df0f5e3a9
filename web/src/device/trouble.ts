/** Errors of a model's files, in words: fetching, checking and loading them. */
import type { Trouble } from '../worker/protocol';

/** A file could not be fetched. */
export class FetchError extends Error {
  constructor(
    readonly code: 'model_fetch' | 'model_status',
    readonly url: string,
    readonly status: number,
  ) {
    super(`${url}: ${status === 0 ? 'no answer' : status}`);
  }
}

/** A fetched file cannot be used. */
export class Unusable extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** What is fetched: from where, what it is called, and which settings of the task say so. */
export interface Wanted {
  url: string;
  name: string;
  settings: string;
}

export function notKept(): Trouble {
  return {
    code: 'model_not_kept',
    title: 'The model could not be kept in this browser',
    detail: 'It works, but it will be fetched again the next time you open this page. Either the browser has no room for it, or it keeps nothing for this address (a private window, or a page that is not https). Nothing else is lost.',
    where: 'storage',
  };
}

export function troubleOf(error: unknown, { url, name, settings }: Wanted): Trouble {
  const trouble = (code: string, title: string, detail: string): Trouble => ({ code, title, detail, where: 'model' });
  if (error instanceof FetchError) {
    const title = `The model cannot be fetched from ${new URL(url).host}`;
    return error.status === 0
      ? trouble(error.code, title, `No answer from ${error.url} can be read. Either nothing is running there, or it does not allow this page: that server must send “Access-Control-Allow-Origin: ${self.location.origin}” (or *) with the model’s files, as fed-bbpt serve does, and must not redirect to another address.`)
      : trouble(error.code, title, `${error.url} answers ${error.status}. Ask the organiser to check ${settings} in the task, and that the file is there.`);
  }
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof Unusable ? error.code : 'model_failed';
  switch (code) {
    case 'model_hash':
      return trouble(code, 'This is not the model that the organiser chose', `${message}. Nothing was computed with it.`);
    case 'model_unusable':
    case 'model_missing':
      return trouble(code, `The model ${name} cannot be used on this device`, `${message}. Tell the organiser.`);
    case 'model_memory':
      return trouble(code, 'The model is too large for this browser', 'Its memory is full. Close other tabs and try again, or use a computer that has more memory.');
    default:
      return trouble(code, 'The model stopped unexpectedly', `${message}\nTry again; if it fails again, try another browser.`);
  }
}

/** The code of a crash: WebAssembly that runs out of memory traps without a message, and a buffer that cannot be allocated is a RangeError. */
function whyDead(error: unknown, last: string): string {
  const silent = error instanceof WebAssembly.RuntimeError && last === '';
  return silent || error instanceof RangeError ? 'model_memory' : 'model_failed';
}

/** The code of an error that the wasm threw; `last` is the message of the panic that ended the instance, if there was one. */
export function codeOf(error: unknown, last = ''): string {
  return error instanceof Error && error.name.startsWith('model_') ? error.name : whyDead(error, last);
}
