/** The report on the data: counts by label, examples as the model will see them, and what was left out and why. */
import { h } from '../lib/dom';
import { count, plural } from '../lib/format';
import { fill, type Inputs } from '../lib/inputs';
import { pixelCanvas } from '../lib/pixels';
import type { DataReport } from '../worker/protocol';
import { textBlock } from './texts';

function countsList(report: DataReport, inputs: Inputs): HTMLElement {
  const most = Math.max(1, ...report.counts.map((c) => c.training + c.holdout));
  const rows = report.counts.map(({ label, training, holdout }) => {
    const n = training + holdout;
    return h(
      'li',
      { title: `${training} to learn from, ${holdout} to measure with` },
      h('span', { class: 'label' }, label),
      h('progress', { max: most, value: n, 'aria-hidden': 'true' }),
      h('span', { class: 'n' }, count(n)),
    );
  });
  return h('ul', { class: 'counts', 'aria-label': fill('{Items} by label', inputs) }, ...rows);
}

function samplesList(report: DataReport): HTMLElement {
  const items = report.samples.map((s) =>
    'rgba' in s ? h('li', {}, pixelCanvas(s.width, s.height, s.rgba, `Example of ${s.label}`), s.label) : h('li', { class: 'of-text' }, h('strong', {}, s.label), textBlock(s)),
  );
  return h('ul', { class: 'samples', 'aria-label': 'Examples, as the model will see them' }, ...items);
}

function skippedList(report: DataReport): HTMLElement {
  const rest = report.skippedTotal - report.skipped.length;
  const items = report.skipped.map(({ name, reason }) => h('li', {}, h('code', {}, name), `: ${reason}`));
  return h('details', {}, h('summary', {}, `${plural(report.skippedTotal, 'file or row', 'files or rows')} left out`), h('ul', {}, ...items, rest > 0 && h('li', {}, `and ${count(rest)} more`)));
}

/** Shows the report in `place`. */
export function showReport(place: HTMLElement, given: DataReport, inputs: Inputs, nameOf: (label: string) => string): void {
  const named = <T extends { label: string }>(one: T): T => ({ ...one, label: nameOf(one.label) });
  const report = { ...given, counts: given.counts.map(named), samples: given.samples.map(named) };
  const training = report.counts.reduce((sum, c) => sum + c.training, 0);
  const holdout = report.counts.reduce((sum, c) => sum + c.holdout, 0);
  const labels = report.counts.filter((c) => c.training + c.holdout > 0).length;
  place.replaceChildren(
    h(
      'p',
      { class: 'report-head' },
      h('strong', {}, `${plural(report.total, fill('{item}', inputs))} with ${plural(labels, 'label')}: `),
      `${count(training)} to learn from, ${count(holdout)} kept aside to measure with.`,
    ),
    ...report.warnings.map((warning) => h('p', { class: 'warning' }, warning)),
    h('div', { class: 'report-grid' }, h('div', {}, h('h3', {}, 'By label'), countsList(report, inputs)), h('div', {}, h('h3', {}, inputs === 'texts' ? 'Examples' : 'As the model will see them'), samplesList(report))),
    ...(report.skippedTotal > 0 ? [skippedList(report)] : []),
  );
  place.dataset['value'] = String(report.total);
  place.hidden = false;
}
