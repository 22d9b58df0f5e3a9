/** A round as the public record tells it, and what the pages check of it. Total: a line of another form is null, never an error. */

/** A round that ended. */
export interface RoundLine {
  round: number;
  /** Why nothing was summed; null if something was. */
  aborted: string | null;
  /** The participants whose masked vectors were taken, with the SHA-256 of each. */
  contributors: { participant: number; vector: string }[];
  /** The opened sum of each group, without its counters. */
  groups: { members: number[]; sum: number[] }[];
}

/** The counters (examples, right answers and the like) at the end of every sum. */
const COUNTERS = 7;

type Json = { [key: string]: Json | undefined } | Json[] | string | number | boolean | null;

const at = (value: Json | undefined, key: string): Json | undefined => (typeof value === 'object' && value !== null && !Array.isArray(value) ? value[key] : undefined);
const list = (value: Json | undefined): Json[] => (Array.isArray(value) ? value : []);
const integer = (value: Json | undefined): number => (Number.isSafeInteger(value) ? Number(value) : -1);
const text = (value: Json | undefined): string => (typeof value === 'string' ? value : '');

/** Reads a line of the record; null unless it is a round. */
export function parseRound(line: string): RoundLine | null {
  let value: Json;
  try {
    value = JSON.parse(line) as Json;
  } catch {
    return null;
  }
  const entry = at(at(value, 'entry'), 'round');
  const round = integer(at(entry, 'round'));
  if (round < 0) return null;
  const contributors = list(at(at(entry, 'cohort'), 'contributors')).map((one) => ({ participant: integer(at(one, 'participant')), vector: text(at(one, 'vector')) }));
  const groups = list(at(at(at(entry, 'sums'), 'secure'), 'groups')).map((group) => ({
    members: list(at(group, 'members')).map(integer),
    sum: integers(unpacked(text(at(group, 'sum'))), 8).slice(0, -COUNTERS),
  }));
  const aborted = at(entry, 'aborted');
  return { round, aborted: aborted === null || aborted === undefined ? null : typeof aborted === 'string' ? aborted : JSON.stringify(aborted), contributors, groups };
}

/** Whether each line is the hash that the next one names, and the last has the hash `head`. Null where the browser has no SHA-256: only secure contexts do. */
export async function leadTo(lines: readonly string[], head: string): Promise<boolean | null> {
  const subtle = crypto.subtle as SubtleCrypto | undefined;
  if (subtle === undefined) return null;
  const hashes = await Promise.all(
    lines.map(async (line) => [...new Uint8Array(await subtle.digest('SHA-256', new TextEncoder().encode(line)))].map((byte) => byte.toString(16).padStart(2, '0')).join('')),
  );
  const named = lines.slice(1).map((line) => {
    try {
      return text(at(JSON.parse(line) as Json, 'previous'));
    } catch {
      return '';
    }
  });
  return lines.length > 0 && hashes.every((hash, i) => hash === (i + 1 < hashes.length ? named[i] : head));
}

/** The bytes of a text in base64; none if it is no such text. */
function unpacked(base64: string): Uint8Array {
  try {
    return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}

type Bytes = Uint8Array | Uint8ClampedArray;

const view = (bytes: Bytes): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Little-endian integers of 4 or 8 bytes, from −2³¹ or −2⁶³ up, to the 53 bits that a number has: as many as there are whole ones. Empty for another width. */
export function integers(bytes: Bytes, width: number): number[] {
  const data = view(bytes);
  if (width !== 4 && width !== 8) return [];
  return Array.from({ length: Math.floor(data.byteLength / width) }, (_, i) => (width === 4 ? data.getInt32(4 * i, true) : Number(data.getBigInt64(8 * i, true))));
}

/** Little-endian 32-bit floating-point numbers: as many as there are whole ones. */
export function floats(bytes: Bytes): number[] {
  const data = view(bytes);
  return Array.from({ length: Math.floor(data.byteLength / 4) }, (_, i) => data.getFloat32(4 * i, true));
}

/** At most `most` entries in evenly spaced places, which depend on the length alone: the same of a change, its masked vector, and the sum. */
export function sampled(numbers: readonly number[], most = 1024): number[] {
  const shown = Math.min(numbers.length, most);
  return Array.from({ length: shown }, (_, i) => numbers[Math.floor((i * numbers.length) / shown)] ?? 0);
}
