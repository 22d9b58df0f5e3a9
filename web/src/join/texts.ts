/** Example texts of the owner, and the model's answers to them without the prompt and with it. */
import { h } from '../lib/dom';
import type { AnsweredText, TextSample } from '../worker/protocol';
import { answer } from './pictures';

/** A text, or a list of the two texts of a pair. */
export function textBlock({ first, second }: Pick<TextSample, 'first' | 'second'>): HTMLElement {
  if (second === '') return h('p', { class: 'text' }, first);
  return h('ol', { class: 'text pair', 'aria-label': 'A pair of texts' }, h('li', {}, first), h('li', {}, second));
}

export function answeredText(text: AnsweredText): HTMLElement {
  return h(
    'article',
    { class: 'example of-text', 'aria-label': `Example: ${text.label}` },
    textBlock(text),
    h('div', { class: 'answers' }, h('p', {}, 'Truth: ', h('strong', {}, text.label)), answer('Before', text.answerBefore, text.scoreBefore, text.label), answer('Now', text.answerNow, text.scoreNow, text.label)),
  );
}
