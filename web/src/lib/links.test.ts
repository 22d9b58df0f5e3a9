import { describe, expect, it } from 'vitest';
import { dashboardPath, fromBase64Url, inviteFragment, inviteLink, joinPath, normaliseModelUrl, parseInvite, parseJoinPath, toBase64Url } from './links';

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

describe('the path of a data owner’s page', () => {
  it('names the federation and perhaps a model', () => {
    expect(parseJoinPath('/f/digits/')).toEqual({ federation: 'digits', modelUrl: null });
    expect(parseJoinPath('/f/digits/at/aHR0cDovL2xvY2FsaG9zdDo4NzAx/')).toEqual({ federation: 'digits', modelUrl: 'http://localhost:8701' });
  });
  it('comes back from what it was made of', () => {
    for (const address of [{ federation: 'a b', modelUrl: null }, { federation: 'x', modelUrl: 'https://m.example/v2/ü' }]) expect(parseJoinPath(joinPath(address))).toEqual(address);
  });
  it('is nothing else', () => {
    for (const path of ['/', '/f/', '/f//', '/f/x', '/f/x/y/', '/f/x/at/', '/f/x/at/!!/', '/f/%zz/', '/organiser']) expect(parseJoinPath(path), path).toBeNull();
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
    expect(parseInvite(inviteFragment(secret))).toBe(secret);
    expect(inviteFragment(null)).toBe('');
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
