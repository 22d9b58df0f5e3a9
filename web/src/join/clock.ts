/** When the examples with the model's answers are asked anew. */

/** Shortest time between refreshes, each of which costs queries. */
const INTERVAL_MS = 6000;
/** Number of pictures shown. */
export const SHOWN = 4;

/** Decides when to ask for new pictures: when θ is new, but not too often, and only while the page is visible. */
export class PictureClock {
  private step = -1;
  private asked = 0;

  /** True if it is time, given the number of θ updates behind the newest measurement. The last θ never waits. */
  due(step: number, now: number, visible: boolean, last: boolean): boolean {
    if (!visible || step <= this.step || (!last && now - this.asked < INTERVAL_MS)) return false;
    this.step = step;
    this.asked = now;
    return true;
  }

  /** Starts again after a restart of the Worker. */
  reset(): void {
    this.step = -1;
  }
}
