import { describe, expect, it } from 'vitest';
import { money } from '../lib/format';
import { costInWords } from './connect';

describe('what it costs', () => {
  it('is nothing without a price', () => {
    expect(costInWords(undefined, 1000, 1)).toBeNull();
  });

  it('counts requests and questions', () => {
    expect(costInWords({ currency: 'EUR', per_call: 0.01, per_query: 0.001, budget: 3 }, 1000, 32)).toBe('About 1.32 EUR for 1,000 questions. This browser stops before 3.00 EUR are spent.');
  });

  it('says what is not known beforehand', () => {
    const said = costInWords({ per_million_input_tokens: 0.15, budget: 0 }, 1000, 1);
    expect(said).toContain('tokens');
    expect(said).toContain('no limit');
  });

  it('writes little money with its digits', () => {
    expect([money(0), money(1.234), money(0.00012)]).toEqual(['0.00', '1.23', '0.00012']);
  });
});
