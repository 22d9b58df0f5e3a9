import { expect, it } from 'vitest';
import { PictureClock } from './clock';

it('pictures are asked for with each new θ, but seldom, and not for a tab that nobody sees', () => {
  const clock = new PictureClock();
  expect(clock.due(-1, 100_000, true, false)).toBe(false);
  expect(clock.due(0, 100_000, false, false)).toBe(false);
  expect(clock.due(0, 100_000, true, false)).toBe(true);
  expect(clock.due(0, 200_000, true, false)).toBe(false);
  expect(clock.due(1, 101_000, true, false)).toBe(false);
  expect(clock.due(3, 106_000, true, false)).toBe(true);
});

it('the last θ does not wait, and is asked for once', () => {
  const clock = new PictureClock();
  expect(clock.due(4, 100_000, true, false)).toBe(true);
  expect(clock.due(5, 100_500, true, true)).toBe(true);
  expect(clock.due(5, 200_000, true, true)).toBe(false);
  clock.reset();
  expect(clock.due(5, 300_000, true, true)).toBe(true);
});
