/** What taking part costs at most, in words. */
import { bytes, count } from '../lib/format';

export function modelAmount(queries: number, bytesPerQuery: number): string {
  return `about ${count(queries)} copies, ${bytes(queries * bytesPerQuery)}, if you stay to the end; measuring adds some`;
}

export function organiserAmount(rounds: number, bytesPerUpdate: number): string {
  return `${bytes(bytesPerUpdate)} a round, ${bytes(rounds * bytesPerUpdate)} in all ${count(rounds)} rounds`;
}
