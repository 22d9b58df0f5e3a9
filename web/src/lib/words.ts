/** States of a federation, a round and a participant, in words that need no explanation. */
import type { AbortReason } from '../generated/AbortReason';
import type { Choice } from '../generated/Choice';
import type { FederationStatus } from '../generated/FederationStatus';
import type { PrivacySpent } from '../generated/PrivacySpent';
import type { RoundView } from '../generated/RoundView';
import type { StopReason } from '../generated/StopReason';
import type { TrainingProgress } from '../worker/protocol';
import { count, percent, plural, probability } from './format';
import { fill, type Inputs } from './inputs';

export const STATUS: Record<FederationStatus, string> = {
  running: 'Running',
  finished: 'Finished',
  closed: 'Closed',
};

export const ABORTED: Record<AbortReason, string> = {
  'too-few-enrolled': 'too few participants had a change ready in time',
  'too-few-updates': 'too few changes arrived in time',
  'too-few-keys': 'too few participants exchanged keys in time',
  'too-few-shares': 'too few participants exchanged shares in time',
  'too-few-masked': 'too few hidden changes arrived in time',
  'too-few-confirmed': 'too few participants confirmed who is in the sum; nobody’s change was seen',
  'too-few-unmasked': 'too few participants were left to open the sum; nobody’s change was seen',
  'false-shares': 'the sum could not be opened because someone sent false shares',
  closed: 'the organiser closed the federation',
  overflow: 'the changes added up to numbers that are too large to use',
};

export const ACTIVITY: Record<TrainingProgress['activity'], string> = {
  paused: 'Paused',
  syncing: 'Asking the organiser how far the federation is',
  loading: 'Reading the record and recomputing the {prompt} from it',
  fitting: 'Finding out which of the model’s answers belong to which label',
  resting: 'Not selected this round; your browser is waiting',
  measuring: 'Measuring on the {items} that you keep aside',
  training: 'Trying small changes of the {prompt} on the model',
  waiting: 'Waiting for the others',
  uploading: 'Sending the suggested change',
  stopped: 'Stopped',
};

/** What this browser does in each phase of a secure sum. */
const SUMMING: Partial<Record<RoundView['phase'], string>> = {
  keys: 'Exchanging keys with the others',
  shares: 'Exchanging sealed shares with the others',
  masked: 'Sending the suggested change, hidden under masks',
  confirm: 'Checking with the others who is in the sum',
  unmask: 'Helping to open the sum',
};

/** What the participant is doing now, in words. */
export function activity({ activity: doing, view }: Pick<TrainingProgress, 'activity' | 'view'>, inputs: Inputs): string {
  return (doing === 'uploading' && view !== null ? SUMMING[view.phase] : undefined) ?? fill(ACTIVITY[doing], inputs);
}

/** Why a participation ended: a headline and a sentence. */
export function ended(reason: StopReason, inputs: Inputs): { title: string; detail: string } {
  const { title, detail } = STOPPED[reason];
  return { title, detail: fill(detail, inputs) };
}

const STOPPED: Record<StopReason, { title: string; detail: string }> = {
  finished: { title: 'Done. Thank you!', detail: 'All rounds are complete, and the {prompt} is final. You can close this tab.' },
  closed: { title: 'The organiser has closed this federation', detail: 'Nothing more is sent. What you have contributed counts.' },
  left: { title: 'You have left', detail: 'Nothing more is sent, and everything that this browser had stored for this federation has been deleted.' },
  'budget-spent': {
    title: 'You have used all your queries. Thank you!',
    detail: 'This federation limits how many queries each participant makes, and another round would exceed the limit. What you have contributed counts.',
  },
  'money-spent': {
    title: 'The budget for the model is spent. Thank you!',
    detail: 'This federation limits what the model may cost each participant, and the next question would exceed the limit. Nothing more is asked, and the others do not wait for you. What you have contributed counts.',
  },
  unauthorized: {
    title: 'The organiser no longer knows this browser',
    detail: 'The federation may have been restarted. Ask the organiser for a new invite link and open it here.',
  },
  inconsistent: {
    title: 'Stopped for safety: the organiser’s answers contradict each other',
    detail: 'This browser computes and sends nothing more. Tell the organiser and the other participants. Compare with them how many lines of the record you have read, and the fingerprint below.',
  },
  'privacy-spent': {
    title: 'Your privacy limit is reached. Thank you!',
    detail: 'Another change from you could reveal more about your {items} than this federation allows, so this browser sends no more. What you have contributed counts.',
  },
};

/** Which prompt is kept in the end, if any, and why. */
export function kept({ keep, measured }: Choice, inputs: Inputs): string {
  const share = (right: number): string => percent(right / measured.total);
  const basis = `of ${plural(measured.total, fill('{item}', inputs))} that participants kept aside, ${share(measured.unprompted)} come out right without a {prompt} and ${share(measured.correct)} with it`;
  switch (keep) {
    case 'unprompted':
      return fill(`The model is kept as it is, without a {prompt}: ${basis}, which may be chance. Nothing is lost.`, inputs);
    case 'earlier':
      return fill(`The {prompt} of round ${count(measured.step + 1)} is kept, because it beats the newest one by more than chance: ${basis}.`, inputs);
    case 'last':
      return fill(`The newest {prompt} is kept: ${basis}.`, inputs);
  }
}

/** The round's phase as one sentence. */
export function phase(view: RoundView, inputs: Inputs): string {
  switch (view.phase) {
    case 'open':
      return view.enrolled === 0 ? fill('Everyone is working out a change of the {prompt}', inputs) : `${count(view.enrolled)} of ${count(Math.max(view.live, view.enrolled))} have a change ready`;
    case 'keys':
      return `Exchanging keys: ${count(view.delivered)} of ${count(view.cohort)} are done`;
    case 'shares':
      return `Exchanging sealed shares: ${count(view.delivered)} of ${count(view.cohort)} are done`;
    case 'masked':
      return `${count(view.delivered)} of ${count(view.cohort)} hidden changes have arrived`;
    case 'upload':
      return `${count(view.delivered)} of ${count(view.cohort)} changes have arrived`;
    case 'confirm':
      return `Confirming who is in the sum: ${count(view.delivered)} of ${count(view.cohort)} agree`;
    case 'unmask':
      return `Opening the sum: ${count(view.delivered)} of ${count(view.cohort)} have helped`;
    case 'done':
      return 'The changes are added up';
    case 'aborted':
      return 'This round was given up; the next one is starting';
  }
}

/** How far the round is, 0 to 1, for a bar. */
export function phaseShare(view: RoundView): number {
  const of = (part: number, whole: number): number => (whole > 0 ? Math.min(1, part / whole) : 0);
  switch (view.phase) {
    case 'open':
      return 0.5 * of(view.enrolled, Math.max(view.live, view.enrolled));
    case 'keys':
      return 0.5 + 0.1 * of(view.delivered, view.cohort);
    case 'shares':
      return 0.6 + 0.1 * of(view.delivered, view.cohort);
    case 'masked':
      return 0.7 + 0.1 * of(view.delivered, view.cohort);
    case 'confirm':
      return 0.8 + 0.1 * of(view.delivered, view.cohort);
    case 'unmask':
      return 0.9 + 0.1 * of(view.delivered, view.cohort);
    case 'upload':
      return 0.5 + 0.5 * of(view.delivered, view.cohort);
    case 'done':
    case 'aborted':
      return 1;
  }
}

/** How many participants are in the round, in words. */
export function cohort(view: RoundView): string {
  if (view.standing === 'dropped') return 'This browser was too late for a step of this round; it is back in the next one';
  return view.cohort > 0 ? `${plural(view.cohort, 'participant')} in this round` : `${plural(view.live, 'participant')} active`;
}

/** For how many others the round waits before it can begin: "Waiting for 2 more participants: 1 of at least 3 is ready". */
export function waitsFor({ here, needed }: { here: number; needed: number }): string {
  return `Waiting for ${plural(needed - here, 'more participant')}: ${count(here)} of at least ${count(needed)} ${here === 1 ? 'is' : 'are'} ready`;
}

/** ε to two places, rounded up. */
function epsilon(value: number): string {
  return twoPlaces.format(Math.max(0, Math.ceil(value * 100 - 1e-9) / 100));
}

const twoPlaces = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });

/** The ledger in figures: "ε = 1.25 of 8, at δ = 10⁻⁵". */
export function spent(privacy: PrivacySpent): string {
  return `ε = ${epsilon(privacy.epsilon)} of ${epsilon(privacy.limit)}, at δ = ${probability(privacy.delta)}`;
}
