import { describe, expect, it } from 'vitest';
import { terms } from './terms';

const sum = { people: 4, cohort: 5, groups: 1 };

describe('what the organiser learns', () => {
  it('is each update without secure sums, and says so', () => {
    const plain = terms(null, null, 576, 'images');
    expect(plain.gets).toContain('a list of 576 numbers');
    expect(plain.gets).not.toContain('mask');
    expect(plain.promise).toContain('could look at your numbers');
    expect(plain.never).not.toContain('your own numbers');
    expect(plain.never).toContain('your key for the model');
    expect(terms(null, null, 576, 'images', true).never).not.toContain('key');
  });
  it('is only a sum with them, over as many people as the machine insists on', () => {
    const secure = terms(sum, null, 576, 'images');
    expect(secure.promise).toContain('only the sum over at least 4 people');
    expect(secure.learns).toContain('only the sum over at least 4 people');
    expect(secure.learns).toContain('of rounded numbers of pictures, and');
    expect(secure.learns).toContain('about how many, not how many');
    expect(secure.never).toContain('your own numbers');
    // No noise, no promise about the sum itself.
    expect(secure.learns).toContain('carries no noise');
    expect(secure.open).toContain('public key');
  });
  it('names the number of sums where there are groups', () => {
    expect(terms({ ...sum, groups: 3 }, null, 1, 'images').promise).toContain('only 3 sums a round, each over at least 4 people');
  });
  it('has a bound with noise, and no counts of pictures', () => {
    const noisy = terms(sum, { epsilon: 8, delta: 1e-5, examples: false }, 576, 'images');
    expect(noisy.learns).toContain('ε at most 8, at δ = 10⁻⁵');
    expect(noisy.learns).not.toContain('no noise');
    expect(noisy.learns).not.toContain('of how many pictures, and');
  });
  it('says of what the bound is where it is of single examples', () => {
    const noisy = terms(sum, { epsilon: 4, delta: 1e-5, examples: true }, 576, 'texts');
    expect(noisy.promise).toContain('any one of your texts, though not about all of them together: ε at most 4');
  });
  it('speaks of texts where there are texts', () => {
    for (const some of [sum, null]) {
      const all = Object.values(terms(some, null, 12, 'texts')).join(' ');
      expect(all).toContain('your texts');
      expect(all).not.toMatch(/picture|pattern|[{}]/);
    }
  });
});
