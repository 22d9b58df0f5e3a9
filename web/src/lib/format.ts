/** Numbers as people read them. Pure; a narrow set of forms, so that columns line up. */

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** 12345 → "12,345"; not a number → "–". */
export function count(value: number): string {
  return Number.isFinite(value) ? whole.format(value) : '–';
}

/** "1 picture", "12 pictures". */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** A fraction of 1 as a percentage without decimals: 0.724 → "72%". Never rounds up to 100%. */
export function percent(fraction: number | null | undefined): string {
  if (fraction === null || fraction === undefined || !Number.isFinite(fraction)) return '–';
  const rounded = Math.round(fraction * 100);
  return `${rounded === 100 && fraction < 1 ? 99 : rounded}%`;
}

/** Bytes in decimal units, as browsers show downloads: 1234567 → "1.2 MB". */
export function bytes(value: number): string {
  if (!Number.isFinite(value) || value < 0) return '–';
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'] as const;
  let unit = 0;
  let scaled = value;
  // 999.95 kB would be shown as "1000 kB".
  while (unit < units.length - 1 && scaled >= (unit === 0 ? 1000 : 999.5)) {
    scaled /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || scaled >= 9.95 ? 0 : 1;
  return `${scaled.toFixed(digits)} ${value === 1 ? 'byte' : (units[unit] ?? 'TB')}`;
}

/** Milliseconds as a short span: 950 → "1 s", 75000 → "1 min 15 s", 7300000 → "2 h 2 min". */
export function span(milliseconds: number): string {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return seconds % 60 === 0 ? `${minutes} min` : `${minutes} min ${seconds % 60} s`;
  const rest = minutes % 60;
  return rest === 0 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 60)} h ${rest} min`;
}

/** A measured duration: 0.34 → "0.3 ms", 48.2 → "48 ms", 2100 → "2.1 s". */
export function duration(milliseconds: number | null): string {
  if (milliseconds === null || !Number.isFinite(milliseconds)) return '–';
  if (milliseconds < 10) return `${milliseconds.toFixed(1)} ms`;
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

/** A small probability: 0.00001 → "10⁻⁵", 0.00002 → "2 · 10⁻⁵", 0.01 → "0.01". */
export function probability(value: number): string {
  if (!Number.isFinite(value) || value <= 0 || value >= 0.001) return Number.isFinite(value) ? String(value) : '–';
  const [digits = '', exponent = ''] = value.toExponential().split('e-');
  const raised = [...exponent].map((digit) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(digit)] ?? '').join('');
  const factor = String(Number(Number(digits).toPrecision(3)));
  return `${factor === '1' ? '' : `${factor} · `}10⁻${raised}`;
}

/** What people compare aloud: the first 16 hexadecimal digits of a hash, in groups of four. */
export function fingerprint(hash: string): string {
  return hash.slice(0, 16).match(/.{1,4}/g)?.join(' ') ?? '–';
}

/** A point in time, in the reader's own time zone. */
export function moment(millisecondsSince1970: number): string {
  return new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'short' }).format(millisecondsSince1970);
}

/** `https://api.example.org:8443` → `api.example.org:8443`, for running text. */
export function host(url: string): string {
  try {
    return new URL(url).host;
  } catch {
    return url;
  }
}

/** Money as people write it: two digits, more where it is little. */
export function money(sum: number): string {
  return sum >= 0.1 || sum === 0 ? sum.toFixed(2) : sum.toPrecision(2);
}
