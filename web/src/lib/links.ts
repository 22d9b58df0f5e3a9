/**
 * Addresses of the pages: which federation a page is about, invites, and the owner's own model API.
 *
 * Secrets are in the fragment, which browsers do not send: the invite's, and the path of the model API's address, which
 * for a relay is its token. The model API's origin is in the path, because the server writes it into the
 * Content-Security-Policy of the pages below that path.
 */

/** Base64url without padding, of the text's UTF-8. */
export function toBase64Url(text: string): string {
  const binary = Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join('');
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/** The text, or null if this is not base64url of UTF-8. */
export function fromBase64Url(encoded: string): string | null {
  if (!/^[A-Za-z0-9_-]*$/.test(encoded) || encoded.length % 4 === 1) return null;
  try {
    const binary = atob(encoded.replaceAll('-', '+').replaceAll('_', '/'));
    return new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(binary, (c) => c.charCodeAt(0)));
  } catch {
    return null;
  }
}

/** What the address of a data owner's page contains. */
export interface JoinAddress {
  federation: string;
  /** The owner's own model API instead of the federation's. */
  modelUrl: string | null;
}

/**
 * `/f/{id}/` or `/f/{id}/at/{base64url of the model API's origin}/`, with the rest of that address in the fragment's
 * `model`; null for anything else.
 */
export function parseJoinAddress(pathname: string, fragment: string): JoinAddress | null {
  const match = /^\/f\/([^/]+)\/(?:at\/([^/]+)\/)?(?:index\.html|join\.html)?$/.exec(pathname);
  const id = match?.[1];
  if (id === undefined) return null;
  let federation: string;
  try {
    federation = decodeURIComponent(id);
  } catch {
    return null;
  }
  const encoded = match?.[2];
  if (encoded === undefined) return { federation, modelUrl: null };
  const origin = fromBase64Url(encoded);
  if (origin === null || normaliseModelUrl(origin) !== origin || new URL(origin).origin !== origin) return null;
  const modelUrl = origin + (inFragment(fragment, 'model') ?? '');
  // Refuse anything that could lead to another origin, which this page may not talk to.
  return normaliseModelUrl(modelUrl) === modelUrl && new URL(modelUrl).origin === origin ? { federation, modelUrl } : null;
}

/** The address, below this server, of the page at which a data owner takes part. */
export function joinAddress({ federation, modelUrl }: JoinAddress, invite: string | null, search = ''): string {
  const base = `/f/${encodeURIComponent(federation)}/`;
  const secrets: string[] = invite === null ? [] : [`invite=${encodeURIComponent(invite)}`];
  let path = base;
  if (modelUrl !== null) {
    const { origin, pathname } = new URL(modelUrl);
    path = `${base}at/${toBase64Url(origin)}/`;
    if (pathname !== '/') secrets.push(`model=${encodeURIComponent(pathname)}`);
  }
  return path + search + (secrets.length === 0 ? '' : `#${secrets.join('&')}`);
}

/** The secret of `#invite=SECRET`, if there is one. */
export function parseInvite(fragment: string): string | null {
  return inFragment(fragment, 'invite');
}

/** The invite link that an organiser sends to data owners. */
export function inviteLink(origin: string, federation: string, secret: string): string {
  return origin + joinAddress({ federation, modelUrl: null }, secret);
}

/** The value of `name` in `#name=value&…`, if there is one. */
function inFragment(fragment: string, name: string): string | null {
  const value = new URLSearchParams(fragment.replace(/^#/, '')).get(name)?.trim();
  return value === undefined || value === '' ? null : value;
}

/** The dashboard of a federation. */
export function dashboardPath(federation: string): string {
  return `/?f=${encodeURIComponent(federation)}`;
}

/**
 * Completes an http(s) address as people type it; null if it is not one. "localhost:8701" becomes
 * "http://localhost:8701": without a scheme, only this machine is addressed without TLS.
 */
export function normaliseModelUrl(typed: string): string | null {
  const text = typed.trim();
  if (text === '' || /\s/.test(text)) return null;
  const local = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:|\/|$)/i.test(text);
  const whole = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `${local ? 'http' : 'https'}://${text}`;
  let url: URL;
  try {
    url = new URL(whole);
  } catch {
    return null;
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return null;
  // Credentials would end up in the address bar and in the server's log; a query is not a base address.
  if (url.username !== '' || url.password !== '' || url.hostname === '') return null;
  return (url.origin + url.pathname).replace(/\/+$/, '');
}
