/** The stroke generator writes digits; it is of use where these are what the federation asks for. */
export function asksForDigits(labels: readonly string[]): boolean {
  return labels.length > 0 && labels.every((label) => /^[0-9]$/.test(label));
}

/** More are not listed. */
const LISTED = 40;

/** The labels, each with the word that stands for it where that is another; the first of many. */
export function labelList(labels: readonly string[], words: readonly string[]): string {
  const named = labels.map((label, i) => ((words[i] ?? label) === label ? label : `${label} (${words[i] ?? ''})`));
  return named.length > LISTED ? `${named.slice(0, LISTED).join(', ')} … (${named.length} in all)` : named.join(', ');
}
