const SIZES = ['kB', 'MB', 'GB', 'TB'] as const

/** A size for people: `0 B`, `999 B`, `1.2 kB`, `90.9 MB`; powers of 1000, three digits at most. */
export function formatBytes(bytes: number): string {
  if (Math.abs(bytes) < 999.5) return `${Math.round(bytes)} B`
  let value = bytes
  let unit = ''
  for (const next of SIZES) {
    value /= 1000
    unit = next
    if (Math.abs(value) < 999.5) break
  }
  return `${threeDigits(value)} ${unit}`
}

/** A duration for people: `3 ms`, `1.25 s`, `2 min 5 s`. */
export function formatDuration(ms: number): string {
  if (ms < 999.5) return `${ms < 9.95 ? Number(ms.toFixed(1)) : Math.round(ms)} ms`
  if (ms < 59_950) return `${threeDigits(ms / 1000)} s`
  const seconds = Math.round(ms / 1000)
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}

/** Size after over size before, `27 %`; empty where there was nothing before. */
export function formatRatio(before: number, after: number): string {
  if (before <= 0) return ''
  const percent = (after / before) * 100
  return `${percent > 0 && percent < 1 ? '<1' : Math.round(percent)} %`
}

function threeDigits(value: number): string {
  const digits = Math.abs(value) < 9.995 ? 2 : Math.abs(value) < 99.95 ? 1 : 0
  return String(Number(value.toFixed(digits)))
}
