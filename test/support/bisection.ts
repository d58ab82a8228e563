/**
 * Plain bisection, as a reference to count runs against: take the largest segment whose state is open, convert it and all
 * segments known as good; if that fails and the segment has more than one unit, split it in the middle.
 *
 * @returns the units that stay float32, and how many runs it took
 */
export async function bisect(
  count: number,
  passes: (float32: ReadonlySet<number>) => Promise<boolean>,
): Promise<{ float32: Set<number>; runs: number }> {
  type Segment = { start: number; end: number; state: 'open' | 'good' | 'bad' }
  const segments: Segment[] = [{ start: 0, end: count, state: 'open' }]
  let runs = 0
  for (;;) {
    const open = segments.filter(({ state }) => state === 'open')
    if (!open.length) break
    const largest = open.reduce((a, b) => (b.end - b.start > a.end - a.start ? b : a))
    const float32 = new Set(Array.from({ length: count }, (_, i) => i))
    for (const { start, end } of [largest, ...segments.filter(({ state }) => state === 'good')])
      for (let i = start; i < end; i++) float32.delete(i)
    runs++
    if (await passes(float32)) largest.state = 'good'
    else if (largest.end - largest.start === 1) largest.state = 'bad'
    else {
      const middle = largest.start + Math.floor((largest.end - largest.start) / 2)
      segments.push({ start: middle, end: largest.end, state: 'open' })
      largest.end = middle
    }
  }
  const bad = segments.filter(({ state }) => state === 'bad')
  return { float32: new Set(bad.map(({ start }) => start)), runs }
}
