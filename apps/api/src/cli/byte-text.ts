const UNITS = ['KiB', 'MiB', 'GiB', 'TiB'] as const;

/** `24.3 MiB`; below 1 KiB the bytes themselves. */
export function formatBytes(bytes: number): string {
  let [amount, unit]: [number, string] = [bytes, 'B'];
  for (const next of UNITS) {
    if (amount < 1024) break;
    [amount, unit] = [amount / 1024, next];
  }
  return unit === 'B' ? `${Math.round(amount)} B` : `${amount.toFixed(1)} ${unit}`;
}

/** `0.4 s`, `42 s`, `3 min 5 s`, `2 h 7 min`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  return minutes < 60 ? `${minutes} min ${whole % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
