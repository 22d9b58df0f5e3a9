/** Drawing examples by mouse, pen, finger or keyboard: light ink on a dark ground. */
import { byId, h, setText } from '../lib/dom';
import { plural } from '../lib/format';
import { pixelCanvas } from '../lib/pixels';

export interface Drawing {
  label: string;
  width: number;
  height: number;
  rgba: Uint8ClampedArray;
}

/** Kept pictures are this large; the Worker fits them to the model's input. */
const KEPT = 64;
/** Width of the pen, in pixels of the drawing area. */
const PEN = 18;
/** How far an arrow key moves the pen. */
const STRIDE = 12;

export class DrawingBoard {
  private readonly canvas = byId('draw-canvas', HTMLCanvasElement);
  private readonly context: CanvasRenderingContext2D;
  private readonly kept: Drawing[] = [];
  private readonly labels: string[] = [];
  private empty = true;
  private down = false;
  private keyboardDown = false;
  private at = { x: 128, y: 128 };

  constructor(onUse: (drawings: Drawing[]) => void) {
    const context = this.canvas.getContext('2d', { willReadFrequently: true });
    if (context === null) throw new Error('this browser has no 2-D canvas');
    this.context = context;
    this.clear();
    this.wirePointer();
    this.canvas.addEventListener('keydown', (event) => this.key(event));
    byId('draw-keep', HTMLButtonElement).addEventListener('click', () => this.keep());
    byId('draw-clear', HTMLButtonElement).addEventListener('click', () => this.clear());
    byId('draw-use', HTMLButtonElement).addEventListener('click', () => onUse([...this.kept]));
  }

  setLabels(labels: readonly string[]): void {
    this.labels.splice(0, this.labels.length, ...labels);
    const choices = labels.map((label, i) => h('label', {}, h('input', { type: 'radio', name: 'draw-label', value: i, checked: i === 0 }), label));
    byId('draw-labels', HTMLFieldSetElement).replaceChildren(h('legend', {}, 'What are you drawing?'), ...choices);
  }

  private wirePointer(): void {
    const place = (event: PointerEvent): { x: number; y: number } => {
      const box = this.canvas.getBoundingClientRect();
      return { x: ((event.clientX - box.left) / box.width) * this.canvas.width, y: ((event.clientY - box.top) / box.height) * this.canvas.height };
    };
    this.canvas.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      this.canvas.setPointerCapture(event.pointerId);
      this.down = true;
      this.at = place(event);
      this.line(this.at);
    });
    this.canvas.addEventListener('pointermove', (event) => {
      if (!this.down) return;
      // A fast pen moves several times between two frames.
      const moves = event.getCoalescedEvents?.() ?? [];
      for (const move of moves.length > 0 ? moves : [event]) this.line(place(move));
    });
    for (const end of ['pointerup', 'pointercancel'] as const) this.canvas.addEventListener(end, () => (this.down = false));
  }

  private line(to: { x: number; y: number }): void {
    const { context } = this;
    context.strokeStyle = '#fff';
    context.lineWidth = PEN;
    context.lineCap = context.lineJoin = 'round';
    context.beginPath();
    context.moveTo(this.at.x, this.at.y);
    context.lineTo(to.x, to.y);
    context.stroke();
    this.at = to;
    this.empty = false;
  }

  private key(event: KeyboardEvent): void {
    const moves: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const move = moves[event.key];
    if (move !== undefined) {
      const clamp = (v: number): number => Math.min(256, Math.max(0, v));
      const to = { x: clamp(this.at.x + move[0] * STRIDE), y: clamp(this.at.y + move[1] * STRIDE) };
      if (this.keyboardDown) this.line(to);
      else this.at = to;
    } else if (event.key === ' ') {
      this.keyboardDown = !this.keyboardDown;
      if (this.keyboardDown) this.line(this.at);
      setText(byId('draw-count', HTMLElement), this.keyboardDown ? 'The pen is down.' : 'The pen is up.');
    } else if (event.key === 'Enter') this.keep();
    else if (event.key === 'Backspace') this.clear();
    else return;
    event.preventDefault();
  }

  private clear(): void {
    this.context.fillStyle = '#000';
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.empty = true;
    this.keyboardDown = false;
    this.at = { x: 128, y: 128 };
  }

  private keep(): void {
    const status = byId('draw-count', HTMLElement);
    if (this.empty) {
      setText(status, 'The drawing area is empty: draw something first.');
      return;
    }
    const checked = document.querySelector<HTMLInputElement>('input[name="draw-label"]:checked');
    const label = this.labels[Number(checked?.value ?? 0)] ?? '';
    const small = h('canvas', { width: KEPT, height: KEPT });
    const context = small.getContext('2d');
    if (context === null) return;
    context.imageSmoothingQuality = 'high';
    context.drawImage(this.canvas, 0, 0, KEPT, KEPT);
    this.kept.push({ label, width: KEPT, height: KEPT, rgba: context.getImageData(0, 0, KEPT, KEPT).data });
    this.clear();
    this.list();
  }

  private list(): void {
    const items = this.kept.map((drawing) => {
      const remove = h('button', { type: 'button', 'aria-label': `Remove this ${drawing.label}`, title: 'Remove' }, pixelCanvas(drawing.width, drawing.height, drawing.rgba, ''), drawing.label);
      remove.addEventListener('click', () => {
        this.kept.splice(this.kept.indexOf(drawing), 1);
        this.list();
        this.canvas.focus();
      });
      return h('li', {}, remove);
    });
    byId('draw-kept', HTMLUListElement).replaceChildren(...items);
    const labels = new Set(this.kept.map((drawing) => drawing.label)).size;
    const enough = labels >= 2;
    byId('draw-use', HTMLButtonElement).disabled = !enough;
    setText(byId('draw-count', HTMLElement), `${plural(this.kept.length, 'drawing')} of ${plural(labels, 'label')} kept.${enough ? '' : ' Draw at least two different labels.'}`);
  }
}
