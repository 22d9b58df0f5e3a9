/** A few held-out examples with the model's answers; for pictures, the picture, the pattern, and both together. */
import { byId, h } from '../lib/dom';
import { percent } from '../lib/format';
import { pixelCanvas } from '../lib/pixels';
import type { AnsweredText, Picture } from '../worker/protocol';
import { answeredText } from './texts';

export function answer(title: string, given: string, score: number, label: string): HTMLElement {
  const right = given === label;
  return h(
    'p',
    {},
    `${title}: `,
    h('span', { class: right ? 'right' : 'wrong' }, `${right ? '✓' : '✗'} ${given}`, h('span', { class: 'visually-hidden' }, right ? ' (right)' : ' (wrong)')),
    h('span', { class: 'small' }, ` ${percent(score)}`),
  );
}

function example(picture: Picture, last: string): HTMLElement {
  const { width, height, label } = picture;
  const part = (pixels: Uint8ClampedArray, caption: string): HTMLElement => h('figure', {}, pixelCanvas(width, height, pixels, `${caption} of a ${label}`), h('figcaption', {}, caption));
  const sign = (text: string): HTMLElement => h('span', { class: 'sign', 'aria-hidden': 'true' }, text);
  return h(
    'article',
    { class: 'example', 'aria-label': `Example: ${label}` },
    h('div', { class: 'trio' }, part(picture.original, 'Picture'), sign('+'), part(picture.prompt, 'Pattern'), sign('='), part(picture.prompted, last)),
    h(
      'div',
      { class: 'answers' },
      h('p', {}, 'Truth: ', h('strong', {}, label)),
      answer('Before', picture.answerBefore, picture.scoreBefore, label),
      answer('Now', picture.answerNow, picture.scoreNow, label),
    ),
  );
}

/** Shows pictures; `last` is the caption of the picture that the model gets. */
export function showPictures(pictures: readonly Picture[], last: string): void {
  if (pictures.length > 0) byId('pictures', HTMLElement).replaceChildren(...pictures.map((picture) => example(picture, last)));
}

export function showTexts(texts: readonly AnsweredText[], nameOf: (label: string) => string): void {
  const named = texts.map((text) => ({ ...text, label: nameOf(text.label), answerBefore: nameOf(text.answerBefore), answerNow: nameOf(text.answerNow) }));
  if (named.length > 0) byId('pictures', HTMLElement).replaceChildren(...named.map(answeredText));
}
