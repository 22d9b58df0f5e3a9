import { describe, expect, it } from 'vitest';
import { heat, order } from './heat';

const pixel = (picture: ReturnType<typeof heat>, i: number): number[] => [...picture.rgba.slice(4 * i, 4 * i + 4)];

it('the order of numbers is that of their values', () => {
  expect(order([3, -1, 2, -1])).toEqual([1, 3, 2, 0]);
});

describe('a picture of numbers', () => {
  it('shows the sign as colour and the size as opacity, scaled to its own largest', () => {
    const picture = heat([0, 2, -4, 1, 4]);
    expect([picture.width, picture.height, picture.largest]).toEqual([3, 2, 4]);
    const [zero, half, least, , most, beyond] = [0, 1, 2, 3, 4, 5].map((i) => pixel(picture, i));
    expect(zero?.[3]).toBe(0);
    expect(half?.[3]).toBe(128);
    expect(half?.slice(0, 3)).toEqual(most?.slice(0, 3));
    expect(least?.slice(0, 3)).not.toEqual(most?.slice(0, 3));
    expect([least?.[3], most?.[3], beyond?.[3]]).toEqual([255, 255, 0]);
  });
  it('of nothing, or of zeros, is empty', () => {
    for (const numbers of [[], [0, 0]]) expect(Math.max(...heat(numbers).rgba)).toBeLessThan(256);
    expect(heat([0, 0]).rgba[3]).toBe(0);
  });
});
