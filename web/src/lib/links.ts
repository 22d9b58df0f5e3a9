/**
 * Addresses of this house: which federation a page is about, invites, and the owner's own model API.
 *
 * An invite's secret stands in the fragment, which browsers do not send. The model API's address stands in
 * the path, because the server writes it into the Content-Security-Policy of what lies below that path.
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

/** What the address of a data owner's page says. */
export interface JoinAddress {
  federation: string;
  /** The owner's own model API instead of the federation's. */
  modelUrl: string | null;
}

/** `/f/{id}/` or `/f/{id}/at/{base64url}/`; null for anything else. */
export function parseJoinPath(pathname: string): JoinAddress | null {
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
  const modelUrl = fromBase64Url(encoded);
  return modelUrl === null ? null : { federation, modelUrl };
}

/** The page at which a data owner takes part. */
export function joinPath(address: JoinAddress): string {
  const base = `/f/${encodeURIComponent(address.federation)}/`;
  return address.modelUrl === null ? base : `${base}at/${toBase64Url(address.modelUrl)}/`;
}

/** The secret of `#invite=SECRET`, if there is one. */
export function parseInvite(fragment: string): string | null {
  const secret = new URLSearchParams(fragment.replace(/^#/, '')).get('invite')?.trim();
  return secret === undefined || secret === '' ? null : secret;
}

/** `#invite=SECRET`, or nothing. */
export function inviteFragment(secret: string | null): string {
  return secret === null ? '' : `#invite=${encodeURIComponent(secret)}`;
}

/** The link that an organiser gives away. */
export function inviteLink(origin: string, federation: string, secret: string): string {
  return origin + joinPath({ federation, modelUrl: null }) + inviteFragment(secret);
}

/** The dashboard of a federation. */
export function dashboardPath(federation: string): string {
  return `/?f=${encodeURIComponent(federation)}`;
}

/**
 * An http(s) address as people type it, made whole; null if it is none. "localhost:8701" becomes
 * "http://localhost:8701": only this machine is spoken to without TLS unless asked for.
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
