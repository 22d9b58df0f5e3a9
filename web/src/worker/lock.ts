/**
 * One tab for each federation (Web Locks). The lock is held until the Worker ends, however it ends.
 */

/** How long to wait before another holder of the lock counts as another tab: a reloaded page's old Worker may live on for a moment. */
const PATIENCE_MS = 1500;

/** Resolves when the lock is ours. `elsewhere` is called once if another tab holds it. */
export function holdAlone(federation: string, elsewhere: () => void): Promise<void> {
  const manager = navigator.locks as LockManager | undefined;
  // Only secure contexts have locks. Elsewhere two tabs cannot be told apart; they do no harm but cost queries.
  if (manager === undefined) {
    return Promise.resolve();
  }
  const told = setTimeout(elsewhere, PATIENCE_MS);
  return new Promise((resolve, reject) => {
    manager
      .request(`fed-bbpt/${federation}`, () => {
        clearTimeout(told);
        resolve();
        return new Promise<never>(() => undefined);
      })
      .catch(reject);
  });
}
