/** The most that taking part can cost, in words. */
import { bytes, count } from '../lib/format';
import type { Inputs } from '../lib/inputs';

/** How much goes to the model; without bytes while the size of the texts is not known. */
export function modelAmount(queries: number, bytesPerQuery: number | null, inputs: Inputs): string {
  const size = bytesPerQuery === null ? '' : `, ${bytes(queries * bytesPerQuery)}`;
  return `about ${count(queries)} ${inputs === 'texts' ? 'questions' : 'copies'}${size}, if you stay to the end, plus some for measuring`;
}

export function organiserAmount(rounds: number, bytesPerUpdate: number): string {
  return `${bytes(bytesPerUpdate)} a round, ${bytes(rounds * bytesPerUpdate)} in all ${count(rounds)} rounds`;
}
