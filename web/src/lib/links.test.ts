import { describe, expect, it } from 'vitest';
import { dashboardPath, fromBase64Url, inviteLink, joinAddress, normaliseModelUrl, parseInvite, parseJoinAddress, toBase64Url } from './links';

describe('base64url', () => {
  it('is that of RFC 4648, without padding', () => {
    expect(toBase64Url('http://127.0.0.1:8701')).toBe('aHR0cDovLzEyNy4wLjAuMTo4NzAx');
    expect(toBase64Url('??>')).toBe('Pz8-');
    expect(toBase64Url('f')).toBe('Zg');
    expect(fromBase64Url('Zg')).toBe('f');
  });
  it('comes back the same', () => {
    for (const text of ['', 'a', 'ab', 'abc', 'https://modèle.example/π?ÿ', '𝛉']) expect(fromBase64Url(toBase64Url(text))).toBe(text);
  });
  it('refuses what is none', () => {
    for (const bad of ['a', 'a+b', 'ab/c', 'Zg==', 'Zg ', '_w']) expect(fromBase64Url(bad), bad).toBeNull();
  });
});

describe('the address of a data owner’s page', () => {
  const LOCAL = '/f/digits/at/aHR0cDovL2xvY2FsaG9zdDo4NzAx/';

  it('names the federation and perhaps a model', () => {
    expect(parseJoinAddress('/f/digits/', '#invite=x')).toEqual({ federation: 'digits', modelUrl: null });
    expect(parseJoinAddress(LOCAL, '')).toEqual({ federation: 'digits', modelUrl: 'http://localhost:8701' });
    expect(parseJoinAddress(LOCAL, '#invite=x&model=/a/b')).toEqual({ federation: 'digits', modelUrl: 'http://localhost:8701/a/b' });
  });
  it('comes back from what it was made of', () => {
    for (const address of [
      { federation: 'a b', modelUrl: null },
      { federation: 'x', modelUrl: 'http://127.0.0.1:8702' },
      { federation: 'x', modelUrl: 'https://m.example/v2/%C3%BC&+' },
    ])
      for (const invite of [null, 'a+b&c=d%']) {
        const url = new URL(joinAddress(address, invite, '?backend=cpu'), 'https://fed.example');
        expect(parseJoinAddress(url.pathname, url.hash)).toEqual(address);
        expect(parseInvite(url.hash)).toBe(invite);
        expect(url.search).toBe('?backend=cpu');
      }
  });
  it('tells the server the model’s origin and no more', () => {
    const url = new URL(joinAddress({ federation: 'x', modelUrl: 'http://127.0.0.1:8702/a-relays-token' }, null), 'https://fed.example');
    expect(url.pathname).toBe(`/f/x/at/${toBase64Url('http://127.0.0.1:8702')}/`);
    expect(url.hash).toBe('#model=%2Fa-relays-token');
  });
  it('is nothing else', () => {
    for (const path of ['/', '/f/', '/f//', '/f/x', '/f/x/y/', '/f/x/at/', '/f/x/at/!!/', '/f/%zz/', '/organiser']) expect(parseJoinAddress(path, ''), path).toBeNull();
  });
  it('holds no whole address in its path, and leads to no other origin from there', () => {
    for (const whole of ['http://localhost:8701/token', 'http://localhost:8701/', 'ftp://localhost', 'localhost']) expect(parseJoinAddress(`/f/x/at/${toBase64Url(whole)}/`, ''), whole).toBeNull();
    for (const path of ['a', '@evil.example/', '.evil.example', ':1', '0', '/a/../b', '/a?b', '/a%23b#c']) expect(parseJoinAddress(LOCAL, `#model=${path}`), path).toBeNull();
  });
});

describe('invites', () => {
  it('stand in the fragment', () => {
    expect(inviteLink('https://fed.example', 'digits', 'k3J-0_a')).toBe('https://fed.example/f/digits/#invite=k3J-0_a');
    expect(parseInvite('#invite=k3J-0_a')).toBe('k3J-0_a');
    expect(parseInvite('')).toBeNull();
    expect(parseInvite('#invite=')).toBeNull();
    expect(parseInvite('#other=1')).toBeNull();
  });
  it('survive signs with a meaning', () => {
    const secret = 'a+b&c=d%';
    expect(parseInvite(new URL(inviteLink('https://fed.example', 'x', secret)).hash)).toBe(secret);
  });
  it('lead back to a dashboard', () => {
    expect(dashboardPath('a&b')).toBe('/?f=a%26b');
  });
});

describe('the address of an own model API, as typed', () => {
  it.each([
    ['http://localhost:8701/', 'http://localhost:8701'],
    ['localhost:8701', 'http://localhost:8701'],
    ['127.0.0.1:8701/', 'http://127.0.0.1:8701'],
    ['models.hospital.example/v2/', 'https://models.hospital.example/v2'],
    ['  HTTPS://Models.Example  ', 'https://models.example'],
    ['http://[::1]:9/', 'http://[::1]:9'],
    ['http://h.example/a?key=1#x', 'http://h.example/a'],
  ])('%s → %s', (typed, whole) => {
    expect(normaliseModelUrl(typed)).toBe(whole);
  });
  it.each([[''], ['  '], ['ftp://x.example'], ['javascript://alert(1)'], ['file:///etc/passwd'], ['http://user:secret@x.example'], ['two words'], ['http://']])('refuses %j', (typed) => {
    expect(normaliseModelUrl(typed)).toBeNull();
  });
});
