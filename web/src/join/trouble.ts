/** Errors where the person looks: each part of the page has a slot that is announced when it fills. */
import { troubleBox, type Remedy } from '../lib/trouble';
import type { Trouble } from '../worker/protocol';

/** Where each kind of error is shown, before the start and after it. */
const SLOTS: Record<Trouble['where'], { setup: string; running: string }> = {
  open: { setup: 'trouble-open', running: 'trouble-open' },
  storage: { setup: 'trouble-open', running: 'trouble-training' },
  data: { setup: 'trouble-data', running: 'trouble-training' },
  model: { setup: 'trouble-model-setup', running: 'trouble-training' },
  training: { setup: 'trouble-model-setup', running: 'trouble-training' },
};

/** Shows the newest error of each part; a new one of the same part takes its place. */
export class Troubles {
  private readonly boxes = new Map<Trouble['where'], HTMLElement>();

  show(trouble: Trouble, running: boolean, remedy: Remedy | null): void {
    this.clear(trouble.where);
    const slot = document.getElementById(SLOTS[trouble.where][running ? 'running' : 'setup']);
    const box = troubleBox(trouble, remedy);
    this.boxes.set(trouble.where, box);
    slot?.append(box);
    // Scroll to the error if it is out of sight.
    const outOfSight = box.getBoundingClientRect();
    if (outOfSight.top < 0 || outOfSight.bottom > window.innerHeight) box.scrollIntoView({ block: 'center' });
  }

  clear(...where: Trouble['where'][]): void {
    for (const part of where) {
      this.boxes.get(part)?.remove();
      this.boxes.delete(part);
    }
  }

  has(where: Trouble['where']): boolean {
    return this.boxes.has(where);
  }
}
