/** A federation as it is now: fetched once, then kept up to date by server-sent events. */
import type { FederationDetail } from '../generated/FederationDetail';
import type { Progress } from '../generated/Progress';
import { eventsPath, getFederation } from './api';
import { withRound } from './curves';
import { asApiError, type ApiError } from './problem';

export type Connection = 'connecting' | 'live' | 'lost';

/** Adds one event to what is known. An event that is older than the newest known one changes only the rounds. */
export function applyProgress(detail: FederationDetail, progress: Progress): FederationDetail {
  const rounds = progress.finished === null ? detail.rounds : withRound(detail.rounds, progress.finished);
  const newer = progress.current.version >= detail.current.version;
  const current = newer ? progress.current : detail.current;
  const { privacy } = detail.summary;
  const epsilon = rounds.at(-1)?.epsilon ?? null;
  const summary = {
    ...detail.summary,
    // The spent privacy never decreases.
    privacy: privacy === null || epsilon === null ? privacy : { ...privacy, epsilon: Math.max(privacy.epsilon, epsilon) },
    status: current.status,
    step: current.step,
    live: current.live,
    participants: Math.max(progress.participants, detail.summary.participants),
  };
  return { ...detail, summary, rounds, current };
}

/** True if rounds were missed between what is known and this event. */
export function hasGap(detail: FederationDetail, progress: Progress): boolean {
  const last = detail.rounds.at(-1)?.round ?? -1;
  const next = progress.finished?.round ?? progress.current.round;
  return next > last + 1 && progress.current.round > detail.current.round;
}

/** Follows a federation until `stop`. Reconnects by itself and fetches what it missed. */
export class FederationFeed {
  detail: FederationDetail | null = null;
  private source: EventSource | null = null;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private loading: Promise<void> | null = null;
  private stopped = false;

  constructor(
    private readonly id: string,
    private readonly onDetail: (detail: FederationDetail) => void,
    private readonly onConnection: (connection: Connection, error: ApiError | null) => void,
  ) {}

  /** Begins; once it has, does nothing more. */
  start(): void {
    if (this.source !== null) return;
    this.onConnection('connecting', null);
    void this.load();
    this.listen();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.retry);
    this.source?.close();
  }

  /** Fetches the whole federation; simultaneous calls share one request. */
  private load(): Promise<void> {
    this.loading ??= getFederation(this.id)
      .then((detail) => {
        const current = this.detail;
        this.detail = current !== null && current.current.version > detail.current.version ? { ...current, rounds: detail.rounds, choice: detail.choice } : detail;
        if (!this.stopped) this.onDetail(this.detail);
      })
      .catch((thrown: unknown) => {
        if (this.stopped) return;
        const error = asApiError(thrown);
        this.onConnection('lost', error);
        if (error.status !== 404) this.retryLater();
      })
      .finally(() => {
        this.loading = null;
      });
    return this.loading;
  }

  private retryLater(): void {
    clearTimeout(this.retry);
    this.retry = setTimeout(() => void this.load(), 5000);
  }

  private listen(): void {
    const source = new EventSource(eventsPath(this.id));
    this.source = source;
    source.addEventListener('open', () => {
      this.onConnection('live', null);
      void this.load();
    });
    source.addEventListener('progress', (event) => {
      const progress = JSON.parse(String(event.data)) as Progress;
      if (this.detail === null) return;
      const gap = hasGap(this.detail, progress);
      // Only the whole federation says what is kept in the end.
      const over = this.detail.current.status === 'running' && progress.current.status !== 'running';
      this.detail = applyProgress(this.detail, progress);
      this.onDetail(this.detail);
      if (gap || over) void this.load();
    });
    source.addEventListener('error', () => {
      this.onConnection('lost', null);
      // A browser reconnects by itself, except after an answer that is not an event stream.
      if (source.readyState === EventSource.CLOSED && !this.stopped) {
        clearTimeout(this.retry);
        this.retry = setTimeout(() => this.listen(), 5000);
      }
    });
  }
}
