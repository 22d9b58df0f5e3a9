/** The stroke generator writes digits; it is of use where these are what the federation asks for. */
export function asksForDigits(labels: readonly string[]): boolean {
  return labels.length > 0 && labels.every((label) => /^[0-9]$/.test(label));
}
