/** States in words that need no explanation. */
import type { AbortReason } from '../generated/AbortReason';
import type { FederationStatus } from '../generated/FederationStatus';
import type { RoundView } from '../generated/RoundView';
import type { StopReason } from '../generated/StopReason';
import type { TrainingProgress } from '../worker/protocol';
import { count, plural } from './format';

export const STATUS: Record<FederationStatus, string> = {
  running: 'Running',
  finished: 'Finished',
  closed: 'Closed',
};

export const ABORTED: Record<AbortReason, string> = {
  'too-few-enrolled': 'too few had an update ready in time',
  'too-few-updates': 'too few updates arrived in time',
  closed: 'the organiser closed the federation',
  overflow: 'the updates added up to numbers too large to use',
};

export const ACTIVITY: Record<TrainingProgress['activity'], string> = {
  paused: 'Paused',
  syncing: 'Asking the organiser where things stand',
  loading: 'Fetching the current pattern',
  fitting: 'Finding out which of the model’s answers stands for which label',
  measuring: 'Measuring on the pictures that are kept aside',
  training: 'Trying small changes of the pattern on the model',
  waiting: 'Waiting for the others',
  uploading: 'Sending the suggested change',
  stopped: 'Stopped',
};

/** Why taking part ended: a headline and a sentence. */
export const STOPPED: Record<StopReason, { title: string; detail: string }> = {
  finished: { title: 'Done. Thank you!', detail: 'All rounds are complete and the pattern is final. You can close this tab.' },
  closed: { title: 'The organiser has closed this federation', detail: 'Nothing more is sent. What you contributed until now counts.' },
  left: { title: 'You have left', detail: 'Nothing more is sent, and everything that was stored in this browser has been deleted.' },
  'budget-spent': {
    title: 'Your share of queries is spent. Thank you!',
    detail: 'This federation limits how many queries each participant spends, and another round would exceed it. What you contributed counts.',
  },
  unauthorized: {
    title: 'The organiser does not know this browser any more',
    detail: 'The federation may have been restarted. Ask the organiser for a new invite link and open it here.',
  },
  inconsistent: {
    title: 'Stopped for safety: the organiser’s answers contradict each other',
    detail: 'What arrived is not what had been announced, so nothing more is computed or sent. Please tell the organiser.',
  },
};

/** The round's phase as one sentence. */
export function phase(view: RoundView): string {
  switch (view.phase) {
    case 'open':
      return view.enrolled === 0 ? 'Everyone works out a change of the pattern' : `${count(view.enrolled)} of ${count(Math.max(view.live, view.enrolled))} have a change ready`;
    case 'keys':
    case 'shares':
      return 'Preparing the secure sum';
    case 'masked':
    case 'upload':
      return `${count(view.delivered)} of ${count(view.cohort)} changes have arrived`;
    case 'unmask':
      return 'Opening the sum';
    case 'done':
      return 'The changes are added up';
    case 'aborted':
      return 'This round was given up; the next one begins';
  }
}

/** How far the round is, 0 to 1, for a bar. */
export function phaseShare(view: RoundView): number {
  const of = (part: number, whole: number): number => (whole > 0 ? Math.min(1, part / whole) : 0);
  switch (view.phase) {
    case 'open':
      return 0.5 * of(view.enrolled, Math.max(view.live, view.enrolled));
    case 'keys':
    case 'shares':
      return 0.5;
    case 'masked':
    case 'upload':
    case 'unmask':
      return 0.5 + 0.5 * of(view.delivered, view.cohort);
    case 'done':
    case 'aborted':
      return 1;
  }
}

/** Who is in the round. */
export function cohort(view: RoundView): string {
  return view.cohort > 0 ? `${plural(view.cohort, 'participant')} in this round` : `${plural(view.live, 'participant')} at work`;
}
