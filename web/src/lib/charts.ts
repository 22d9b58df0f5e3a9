/** Line charts by uPlot: colours of the theme, width of their box, values in words for screen readers. */
import type uPlot from 'uplot';
import { h } from './dom';

export interface Series {
  label: string;
  /** The name of a custom property, `--own` say. */
  colour: string;
  dashed?: boolean;
}

export interface ChartOptions {
  /** What a screen reader calls it. */
  title: string;
  series: Series[];
  /** How a value reads. */
  format: (value: number) => string;
  /** Fixed ends of the scale; null: as the data has them. */
  range: [number, number] | null;
  height?: number;
}

let Plot: typeof uPlot | null = null;

/** Fetches uPlot and its styles, which nothing needs before there is a chart to show. Where that fails, the next values try again. */
async function fetchPlot(): Promise<void> {
  const [{ default: plot }] = await Promise.all([import('uplot'), import('uplot/dist/uPlot.min.css')]);
  Plot = plot;
}

const dark = window.matchMedia('(prefers-color-scheme: dark)');

/** A theme colour as the browser resolves it; a custom property alone would give `light-dark(…)` back. */
function resolve(host: HTMLElement, property: string): string {
  const probe = h('span');
  probe.style.color = `var(${property})`;
  host.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

/** A chart inside `host`, which is labelled and resized with it. */
export class Chart {
  private plot: uPlot | null = null;
  private data: uPlot.AlignedData = [[]];
  private readonly box: HTMLDivElement;

  constructor(
    private readonly host: HTMLElement,
    private readonly options: ChartOptions,
  ) {
    this.box = h('div', { class: 'chart', role: 'img', 'aria-label': `${options.title}: no values yet` });
    host.replaceChildren(this.box);
    new ResizeObserver(() => this.resize()).observe(this.box);
    dark.addEventListener('change', () => this.rebuild());
  }

  /** Steps in order, and for each series its value or null at each step. */
  set(steps: number[], values: (number | null)[][]): void {
    this.data = [steps, ...values];
    const latest = this.options.series.map(({ label }, i) => {
      const known = (values[i] ?? []).filter((value): value is number => value !== null);
      const [first, last] = [known[0], known.at(-1)];
      return first === undefined || last === undefined ? `${label}: no values yet` : `${label}: from ${this.options.format(first)} to ${this.options.format(last)}`;
    });
    this.box.setAttribute('aria-label', `${this.options.title}. ${latest.join('. ')}`);
    if (this.plot === null) this.rebuild();
    else this.plot.setData(this.data);
  }

  private resize(): void {
    const width = this.box.clientWidth;
    if (width === 0) return;
    if (this.plot === null) this.rebuild();
    else this.plot.setSize({ width, height: this.options.height ?? 220 });
  }

  private rebuild(): void {
    this.plot?.destroy();
    this.plot = null;
    const width = this.box.clientWidth;
    if (width === 0) return;
    if (Plot === null) {
      fetchPlot().then(
        () => this.rebuild(),
        () => undefined,
      );
      return;
    }
    const { series, format, range, height = 220 } = this.options;
    const ink = resolve(this.host, '--muted');
    const grid = { stroke: resolve(this.host, '--hairline'), width: 1 };
    const font = `12px ${getComputedStyle(this.host).fontFamily}`;
    const axis = { stroke: ink, grid, ticks: { show: false }, font };
    const shown = (_: uPlot, value: number | null): string => (value === null ? '–' : format(value));
    this.plot = new Plot(
      {
        width,
        height,
        // The legend is the page's own language, its values follow the pointer.
        legend: { show: true, live: true },
        cursor: { y: false, points: { size: 7 } },
        scales: {
          x: { time: false, range: (_, min, max) => [min ?? 0, Math.max(max ?? 0, (min ?? 0) + 5)] },
          y: range === null ? { range: (_, min, max) => [0, Math.max(1e-6, (max ?? 1) * 1.08, min ?? 0)] } : { range },
        },
        axes: [
          { ...axis, size: 30, space: 48, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10_000] },
          { ...axis, size: 46, values: (_, ticks) => ticks.map((tick) => format(tick)) },
        ],
        series: [
          { label: 'Round', value: (_, value: number | null) => (value === null ? '–' : String(value)) },
          ...series.map(
            (one): uPlot.Series => ({
              label: one.label,
              stroke: resolve(this.host, one.colour),
              width: 2.5,
              spanGaps: true,
              value: shown,
              points: { show: (plot) => (plot.data[0]?.length ?? 0) < 12, size: 6 },
              ...(one.dashed === true ? { dash: [6, 5] } : {}),
            }),
          ),
        ],
      },
      this.data.length === series.length + 1 ? this.data : [[], ...series.map(() => [])],
      this.box,
    );
  }
}
