/** What taking part costs at most, in words. */
import { bytes, count } from '../lib/format';
import type { Inputs } from '../lib/inputs';

/** Without bytes where it is not known yet how long the texts are. */
export function modelAmount(queries: number, bytesPerQuery: number | null, inputs: Inputs): string {
  const size = bytesPerQuery === null ? '' : `, ${bytes(queries * bytesPerQuery)}`;
  return `about ${count(queries)} ${inputs === 'texts' ? 'questions' : 'copies'}${size}, if you stay to the end, plus some for measuring`;
}

export function organiserAmount(rounds: number, bytesPerUpdate: number): string {
  return `${bytes(bytesPerUpdate)} a round, ${bytes(rounds * bytesPerUpdate)} in all ${count(rounds)} rounds`;
}
