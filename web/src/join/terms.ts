/** What the organiser gets and learns, in words: with or without secure sums, with or without noise. Pure. */
import { count, plural, probability } from '../lib/format';
import { fill, type Inputs } from '../lib/inputs';
import type { NoiseTerms, SumTerms } from '../worker/protocol';

export interface Terms {
  /** One sentence: what holds for the own numbers. */
  promise: string;
  gets: string;
  learns: string;
  never: string;
  /** What everybody can read. */
  open: string;
}

/** The terms of a federation whose updates are `dim` numbers. A model that runs `here` asks for no key. */
export function terms(sum: SumTerms | null, noise: NoiseTerms | null, dim: number, inputs: Inputs, here = false): Terms {
  const told = worded(sum, noise, dim, here ? '' : ', your key for the model');
  return Object.fromEntries(Object.entries(told).map(([key, words]) => [key, fill(words, inputs)])) as unknown as Terms;
}

function worded(sum: SumTerms | null, noise: NoiseTerms | null, dim: number, key: string): Terms {
  const record = 'Everybody can read the record of this federation: what each round added up, and the {prompt} that came out. This browser computes the {prompt} from it again and stops if they differ.';
  if (sum === null) {
    return {
      promise: 'The organiser could look at your numbers before adding them up. They are no {items}, but could hint at what yours are like.',
      gets: `each round, a list of ${count(dim)} numbers: your suggested change of the {prompt}; how many {items} you have, and how many were answered right`,
      learns: 'those numbers, and that this browser takes part. Numbers like these could hint at what the {items} are like, but are no {items}.',
      never: `your {items}, your labels, the model’s answers${key}`,
      open: record,
    };
  }
  const people = sum.groups > 1 ? `${sum.groups} sums a round, each over at least ${plural(sum.people, 'person', 'people')}` : `the sum over at least ${plural(sum.people, 'person', 'people')}`;
  const told =
    noise === null
      ? 'A sum carries no noise: the fewer are in it, the more it says about each.'
      : `Random noise in it bounds what anybody can work out about you: ε at most ${noise.epsilon}, at δ = ${probability(noise.delta)}.`;
  return {
    promise: `The organiser sees only ${people}, you among them. Your own numbers stay hidden under random masks that cancel out in the sum. ${told}`,
    gets: `each round, your list of ${count(dim)} numbers hidden under random masks, and sealed messages that it passes on to the others`,
    learns: `only ${people}, you among them: of the changes, ${noise === null ? 'of how many {items}, and of how many were answered right' : 'and of the share answered right'}. And that this browser takes part. ${told}`,
    never: `your own numbers, how many {items} you have or how many of them were answered right; your {items}, your labels, the model’s answers${key}`,
    open: `${record} It also names who was in each sum: a number and a public key, no name.`,
  };
}
