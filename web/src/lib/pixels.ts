/** Small pictures on canvases. */
import { h } from './dom';

/** A canvas of exactly these pixels; CSS enlarges it without smoothing. */
export function pixelCanvas(width: number, height: number, rgba: Uint8ClampedArray, label: string): HTMLCanvasElement {
  const canvas = h('canvas', { class: 'pixels', width, height, role: 'img', 'aria-label': label });
  const context = canvas.getContext('2d');
  if (context !== null && rgba.length === 4 * width * height && width > 0 && height > 0) {
    const image = context.createImageData(width, height);
    image.data.set(rgba);
    context.putImageData(image, 0, 0);
  }
  return canvas;
}
