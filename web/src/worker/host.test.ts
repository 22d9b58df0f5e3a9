import { expect, it } from 'vitest';
import { revive } from './host';

it('puts pixels into their places and leaves everything else', () => {
  const pixels = [new Uint8ClampedArray([1]), new Uint8ClampedArray([2])];
  const message = revive('{"a":[{"rgba":{"$bytes":1}},{"rgba":{"$bytes":0}}],"b":null,"c":"$bytes"}', pixels);
  expect(message).toEqual({ a: [{ rgba: pixels[1] }, { rgba: pixels[0] }], b: null, c: '$bytes' });
});
