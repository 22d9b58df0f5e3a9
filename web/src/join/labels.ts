/** The stroke generator writes digits; it is of use where these are what the federation asks for. */
export function asksForDigits(labels: readonly string[]): boolean {
  return labels.length > 0 && labels.every((label) => /^[0-9]$/.test(label));
}

/** Most labels that are listed. */
const LISTED = 40;

/** A label with its word, if the two differ: "1 (World)". */
export function labelNames(labels: readonly string[], words: readonly string[]): (label: string) => string {
  const names = new Map(labels.map((label, i) => [label, (words[i] ?? label) === label ? label : `${label} (${words[i] ?? ''})`]));
  return (label) => names.get(label) ?? label;
}

/** The labels with their words; only the first ones if there are many. */
export function labelList(labels: readonly string[], words: readonly string[]): string {
  const named = labels.map(labelNames(labels, words));
  return named.length > LISTED ? `${named.slice(0, LISTED).join(', ')} … (${named.length} in all)` : named.join(', ');
}
