/** Where the page is, and what brings a new Worker to where the old one was. Pure. */
import type { TrainingProgress } from '../worker/protocol';

export type View = 'loading' | 'setup' | 'running' | 'done' | 'elsewhere' | 'gone';

/** What the person wants, whatever Workers come and go. */
export interface Wish {
  /** Agreed and started, or gone on with. */
  agreed: boolean;
  paused: boolean;
}

/** What to tell a Worker that has just opened the federation. */
export type NextStep = 'offer-resume' | 'go-on' | 'load-data-again' | 'setup';

/**
 * A first Worker finds either nothing, and the page shows the setup, or stored state, and the page offers to
 * go on. A Worker after a crash goes on by itself: the person agreed before.
 */
export function afterOpened(resumable: boolean, wish: Wish, dataChosen: boolean): NextStep {
  if (wish.agreed && (resumable || dataChosen)) return resumable ? 'go-on' : 'load-data-again';
  if (dataChosen) return 'load-data-again';
  return resumable ? 'offer-resume' : 'setup';
}

/** The view that progress calls for. */
export function viewOf(progress: TrainingProgress): View {
  if (progress.stopped === 'left') return 'gone';
  return progress.activity === 'stopped' || progress.stopped !== null ? 'done' : 'running';
}
