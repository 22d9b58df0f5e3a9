import { gzipSync, strToU8, zipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { ArchiveError, MOST_ENTRIES, MOST_FILE_BYTES, gunzip, unzip } from './unpack';

const blob = (bytes: Uint8Array): Blob => new Blob([bytes as Uint8Array<ArrayBuffer>]);
const all = (): boolean => true;

describe('zip', () => {
  it('gives the wanted files', async () => {
    const zip = zipSync({ 'a/1.txt': strToU8('one'), 'b/2.txt': strToU8('two'), 'c.txt': strToU8('') });
    const entries = await unzip('x.zip', blob(zip), (path) => path !== 'b/2.txt');
    expect(entries.map((entry) => [entry.path, new TextDecoder().decode(entry.bytes)])).toEqual([
      ['a/1.txt', 'one'],
      ['c.txt', ''],
    ]);
  });

  it('refuses a bomb by what comes out, before it is all there', async () => {
    const zip = zipSync({ 'zeros.bin': new Uint8Array(MOST_FILE_BYTES + 1) }, { level: 1 });
    expect(zip.length).toBeLessThan(4_000_000);
    await expect(unzip('bomb.zip', blob(zip), all)).rejects.toThrow('unpacks to more than');
  }, 60_000);

  it('refuses too many entries', async () => {
    const entries = Object.fromEntries(Array.from({ length: MOST_ENTRIES + 1 }, (_, i) => [`${i}`, new Uint8Array(0)]));
    await expect(unzip('many.zip', blob(zipSync(entries, { level: 0 })), all)).rejects.toThrow('holds more than');
  }, 60_000);

  it('refuses a damaged archive', async () => {
    const zip = zipSync({ 'a.bin': crypto.getRandomValues(new Uint8Array(5000)), 'b.bin': strToU8('b'.repeat(5000)) });
    const start = zip.findIndex((_, i) => zip[i] === 0x50 && zip[i + 1] === 0x4b && i > 4000);
    zip.fill(0xff, start + 40, start + 60);
    await expect(unzip('bad.zip', blob(zip), all)).rejects.toBeInstanceOf(ArchiveError);
  });
});

describe('gzip', () => {
  it('gives the content', async () => {
    expect(new TextDecoder().decode(await gunzip('a.gz', blob(gzipSync(strToU8('text')))))).toBe('text');
  });

  it('refuses what is cut off', async () => {
    const packed = gzipSync(crypto.getRandomValues(new Uint8Array(5000)));
    await expect(gunzip('a.gz', blob(packed.slice(0, 3000)))).rejects.toThrow('a.gz: the gzip is damaged');
  });
});
