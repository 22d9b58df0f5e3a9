/** Small data files as people have them, made here: PNG, zip, IDX, CSV. */
import { deflateSync, gzipSync } from 'node:zlib';
import { zipSync } from 'fflate';

/** What Playwright puts into a file input. */
export interface Upload {
  name: string;
  mimeType: string;
  buffer: Buffer;
}

export const SIDE = 12;

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let bit = 0; bit < 8; bit += 1) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

function crc(bytes: Buffer): number {
  let c = 0xffffffff;
  for (const byte of bytes) c = (CRC[(c ^ byte) & 0xff] ?? 0) ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

function chunk(type: string, body: Buffer): Buffer {
  const typed = Buffer.concat([Buffer.from(type, 'latin1'), body]);
  const out = Buffer.alloc(body.length + 12);
  out.writeUInt32BE(body.length, 0);
  typed.copy(out, 4);
  out.writeUInt32BE(crc(typed), body.length + 8);
  return out;
}

/** Grey pixels, row by row: a stroke whose place depends on the number, so that no two are the same. */
export function pixels(number: number): Buffer {
  const out = Buffer.alloc(SIDE * SIDE);
  for (let y = 2; y < SIDE - 2; y += 1) {
    out[y * SIDE + 2 + (number % (SIDE - 4))] = 255;
    out[y * SIDE + 2 + ((number * 3 + y) % (SIDE - 4))] = 100 + (number % 156);
  }
  return out;
}

/** A grey 8-bit PNG of the number's stroke. */
export function png(number: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(SIDE, 0);
  header.writeUInt32BE(SIDE, 4);
  header[8] = 8;
  const grey = pixels(number);
  // Each row begins with its filter: none.
  const rows = Array.from({ length: SIDE }, (_, y) => Buffer.concat([Buffer.alloc(1), grey.subarray(y * SIDE, (y + 1) * SIDE)]));
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', deflateSync(Buffer.concat(rows))), chunk('IEND', Buffer.alloc(0))]);
}

export function zip(entries: Record<string, Buffer>, name = 'pictures.zip'): Upload {
  return { name, mimeType: 'application/zip', buffer: Buffer.from(zipSync(entries)) };
}

/** `count` pictures of each label in a folder of its name. */
export function folders(labels: readonly string[], count: number): Record<string, Buffer> {
  const entries: Record<string, Buffer> = {};
  for (const [l, label] of labels.entries()) {
    for (let i = 0; i < count; i += 1) entries[`${label}/${i}.png`] = png(l * count + i);
  }
  return entries;
}

/** A pair of IDX files, labels 0, 1, 2, … in turn; the images gzipped, as they are commonly had. */
export function idx(count: number, classes: number): Upload[] {
  const images = Buffer.alloc(16 + count * SIDE * SIDE);
  images.writeUInt32BE(0x0803, 0);
  images.writeUInt32BE(count, 4);
  images.writeUInt32BE(SIDE, 8);
  images.writeUInt32BE(SIDE, 12);
  const labels = Buffer.alloc(8 + count);
  labels.writeUInt32BE(0x0801, 0);
  labels.writeUInt32BE(count, 4);
  for (let i = 0; i < count; i += 1) {
    pixels(i).copy(images, 16 + i * SIDE * SIDE);
    labels[8 + i] = i % classes;
  }
  return [
    { name: 'train-images-idx3-ubyte.gz', mimeType: 'application/gzip', buffer: gzipSync(images) },
    { name: 'train-labels-idx1-ubyte', mimeType: 'application/octet-stream', buffer: labels },
  ];
}

/** A table: a header, then the label and the pixels. `ragged` is the row (from 1) that loses its last cell. */
export function csv(rows: readonly string[], ragged?: number): Upload {
  const header = ['label', ...Array.from({ length: SIDE * SIDE }, (_, i) => `p${i}`)].join(',');
  const lines = rows.map((label, i) => [label, ...pixels(i)].slice(0, i + 1 === ragged ? -1 : undefined).join(','));
  return { name: 'digits.csv', mimeType: 'text/csv', buffer: Buffer.from([header, ...lines, ''].join('\n')) };
}

export function file(name: string, content: string | Buffer, mimeType = 'application/octet-stream'): Upload {
  return { name, mimeType, buffer: Buffer.from(content) };
}
