/** Pictures of numbers: one square each. */
import { h } from './dom';

/** RGB of numbers below zero and above. */
const BELOW = [208, 92, 12];
const ABOVE = [20, 128, 128];

export interface Heat {
  width: number;
  height: number;
  /** Transparent at zero, so that it suits light and dark pages. */
  rgba: Uint8ClampedArray;
  /** The largest absolute value, which has the full colour. */
  largest: number;
}

/** Draws numbers row by row into a rectangle that is about square. The opacity is the share of the largest absolute value. */
export function heat(numbers: readonly number[]): Heat {
  const width = Math.max(1, Math.ceil(Math.sqrt(numbers.length)));
  const height = Math.max(1, Math.ceil(numbers.length / width));
  const largest = numbers.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  const rgba = new Uint8ClampedArray(4 * width * height);
  numbers.forEach((x, i) => rgba.set([...(x < 0 ? BELOW : ABOVE), largest > 0 ? Math.round((255 * Math.abs(x)) / largest) : 0], 4 * i));
  return { width, height, rgba, largest };
}

/** The places of numbers from the least to the greatest: the order in which whatever follows them shows as a slope. */
export function order(numbers: readonly number[]): number[] {
  return numbers.map((_, i) => i).sort((a, b) => (numbers[a] ?? 0) - (numbers[b] ?? 0));
}

/** A canvas with the picture of numbers. */
export function heatCanvas(numbers: readonly number[], label: string): HTMLCanvasElement {
  const { width, height, rgba, largest } = heat(numbers);
  // Not by way of `pixels.ts`: shared with a lazy script, it would become a file of its own in the first load.
  const canvas = h('canvas', { class: 'heat', width, height, role: 'img', 'aria-label': label, 'data-value': largest });
  const context = canvas.getContext('2d');
  const image = context?.createImageData(width, height);
  image?.data.set(rgba);
  if (image !== undefined) context?.putImageData(image, 0, 0);
  return canvas;
}
