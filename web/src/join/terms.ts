/** What the organiser gets and learns, in words: with or without secure sums, with or without noise. Pure. */
import { count, plural, probability } from '../lib/format';
import { fill, type Inputs } from '../lib/inputs';
import type { NoiseTerms, SumTerms } from '../worker/protocol';

export interface Terms {
  /** What holds for this participant's numbers. */
  promise: string;
  gets: string;
  learns: string;
  never: string;
  /** What anyone can read. */
  open: string;
}

/** The terms of a federation whose updates are `dim` numbers. A model that runs on the device (`here`) needs no key. */
export function terms(sum: SumTerms | null, noise: NoiseTerms | null, dim: number, inputs: Inputs, here = false): Terms {
  const told = worded(sum, noise, dim, here ? '' : ', your key for the model');
  return Object.fromEntries(Object.entries(told).map(([key, words]) => [key, fill(words, inputs)])) as unknown as Terms;
}

function worded(sum: SumTerms | null, noise: NoiseTerms | null, dim: number, key: string): Terms {
  const record = 'Anyone can read the record of this federation: what each round added up, and the {prompt} that followed. This browser recomputes the {prompt} from it and stops if they differ.';
  if (sum === null) {
    return {
      promise: 'The organiser could look at your numbers before adding them up. They are not your {items}, but they could hint at what those are like.',
      gets: `each round, a list of ${count(dim)} numbers, your suggested change of the {prompt}; also, rounded, how many {items} you have and how many were answered right`,
      learns: 'those numbers, and that this browser takes part. They are not your {items}, but they could hint at what those are like.',
      never: `your {items}, which label each of them has, the model’s answer to any of them${key}`,
      open: record,
    };
  }
  const people = sum.groups > 1 ? `${sum.groups} sums a round, each over at least ${plural(sum.people, 'person', 'people')}` : `the sum over at least ${plural(sum.people, 'person', 'people')}`;
  const told =
    noise === null
      ? 'It carries no noise: the fewer people are in a sum, the more it says about each of them. How many {items} you have and how many were answered right go in rounded by a secret of this browser’s, so two sums that differ by you alone tell about how many, not how many.'
      : `Random noise in it limits what anyone can work out about ${noise.examples ? 'any one of your {items}, though not about all of them together' : 'you'}: ε at most ${noise.epsilon}, at δ = ${probability(noise.delta)}.`;
  return {
    promise: `The organiser sees only ${people}, you among them. Your own numbers stay hidden under random masks that cancel out in the sum. ${told}`,
    gets: `each round, your list of ${count(dim)} numbers, hidden under random masks, and sealed messages that it passes on to the others`,
    learns: `only ${people}, you among them: of the changes, ${noise === null ? 'of rounded numbers of {items}, and of those answered right' : 'and of the share answered right'}. Also that this browser takes part. ${told}`,
    never: `your own numbers; your {items}, which label each of them has, the model’s answer to any of them${key}`,
    open: `${record} The record also lists who was in each sum, by number and public key, not by name.`,
  };
}
