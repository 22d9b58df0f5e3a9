/** Describes a task, which travels as JSON, in words. Never throws: a task of a newer version shows less, not an error. */
import { OPTIMIZERS } from '../generated/methods';
import { count, host, probability } from './format';
import { fill, generatorOf, inputsOf, runsHere } from './inputs';

function at(value: unknown, ...path: string[]): unknown {
  let current = value;
  for (const key of path) {
    if (typeof current !== 'object' || current === null) return undefined;
    current = (current as Record<string, unknown>)[key];
  }
  return current;
}

const SERVERS: Record<string, string> = {
  sgd: 'the weighted mean of all changes',
  momentum: 'the weighted mean of all changes, with momentum',
  adam: 'the weighted mean of all changes, through Adam',
};

const COMBINED: Record<string, string> = {
  median: 'the median, number by number',
  'trimmed-mean': 'the mean without the largest and the smallest, number by number',
};

/** Rows of term and description. */
export function taskInWords(task: unknown, dim: number): [term: string, description: string][] {
  const text = (...path: string[]): string | null => {
    const value = at(task, ...path);
    return typeof value === 'string' && value !== '' ? value : null;
  };
  const number = (...path: string[]): number | null => {
    const value = at(task, ...path);
    return typeof value === 'number' ? value : null;
  };
  const rows: [string, string | null][] = [];
  const url = text('model', 'url');
  const name = text('model', 'name');
  const where = runsHere(task) ? 'on each device, fetched from' : 'at';
  rows.push(['Model', url === null ? name : `${name ?? 'a model'} ${where} ${host(url)}`]);
  const [height, width] = [number('model', 'input', 'height'), number('model', 'input', 'width')];
  rows.push(['Sees pictures of', height === null || width === null ? null : `${width}×${height} pixels`]);
  const inputs = inputsOf(task);
  const isText = inputs === 'texts';
  rows.push(['Reads texts as', isText ? (text('text', 'input') ?? '{text}') : null]);
  rows.push(['Scores labels as', text('text', 'template')]);
  const words = at(task, 'text', 'words');
  const labels = at(task, 'data', 'labels');
  if (Array.isArray(labels)) {
    const shown = labels.slice(0, 24).map(String).join(', ');
    rows.push(['Labels', labels.length > 24 ? `${shown} … (${count(labels.length)} in all)` : shown]);
  }
  if (Array.isArray(words)) rows.push(['Their words', words.slice(0, 24).map(String).join(', ')]);
  const generator = generatorOf(task);
  rows.push([isText ? 'Prompt' : 'Pattern', `${generator?.words ?? text('generator', 'kind') ?? 'unknown'}; ${count(dim)} numbers`]);
  const named = text('optimizer', 'kind');
  const optimizer = OPTIMIZERS.find(({ name, domain }) => (named === null ? domain === generator?.domain : name === named));
  const tries = optimizer?.tries ?? null;
  const tried = tries === null ? null : (number('optimizer', tries.setting) ?? tries.usual);
  rows.push(['Each participant', `${optimizer?.words ?? named ?? 'unknown'}${tries === null || tried === null ? '' : `; ${count(tried)} ${tries.what} a step`}`]);
  const rule = text('federation', 'rule') ?? 'fedavg';
  rows.push(['Each sends', rule === 'scalars' ? 'how far to go along each direction; everyone tries the same directions' : 'how all the numbers should change']);
  const hidden = at(task, 'federation', 'secure_sum');
  if (typeof hidden === 'object' && hidden !== null) {
    const groups = number('federation', 'secure_sum', 'groups') ?? 1;
    rows.push(['Hidden', groups > 1 ? `under masks; only the sums of ${count(groups)} groups are seen` : 'under masks; only the sum is seen']);
  }
  const noise = at(task, 'federation', 'privacy');
  if (typeof noise === 'object' && noise !== null) {
    rows.push(['Noise', `enough to keep ε${text('federation', 'privacy', 'unit') === 'example' ? ' of each example' : ''} at most ${number('federation', 'privacy', 'epsilon') ?? 8}, at δ = ${probability(number('federation', 'privacy', 'delta') ?? 1e-5)}`]);
  }
  rows.push(['Protection against bad changes', COMBINED[text('federation', 'combine') ?? 'mean'] ?? null]);
  const server = text('federation', 'server', 'kind') ?? 'sgd';
  rows.push(['Together', SERVERS[server] ?? server]);
  const [rounds, steps, batch] = [number('federation', 'rounds') ?? 50, number('federation', 'local_steps') ?? 5, number('federation', 'batch') ?? 32];
  rows.push(['Length', `${count(rounds)} rounds of ${count(steps)} steps, ${count(batch)} ${fill('{items}', inputs)} each`]);
  return rows.filter((row): row is [string, string] => row[1] !== null);
}
