/** The page's state, and the messages that bring a new Worker to where the old one was. Pure. */
import type { TrainingProgress } from '../worker/protocol';

export type View = 'loading' | 'setup' | 'running' | 'done' | 'elsewhere' | 'gone';

/** What the person wants; it outlives Workers. */
export interface Wish {
  /** True once the person has agreed and started, or chosen to go on. */
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
