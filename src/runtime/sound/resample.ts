/** Zero crossings of the sinc on each side, and where the pass band ends, as a share of what the lower rate can hold. */
const CROSSINGS = 24
const CUTOFF = 0.94

/**
 * Samples at another rate, by a sinc under a Blackman window: what the lower rate cannot hold is left out, what is below 0.88 of that
 * stays as it is. Positions repeat after a few samples, so weights are computed once for each.
 *
 * @param from samples per second as they are
 * @param to as they are wanted
 */
export function resample(samples: Float32Array<ArrayBuffer>, from: number, to: number): Float32Array<ArrayBuffer> {
  if (from === to) return samples
  const divisor = greatestDivisor(from, to)
  const [step, phases] = [from / divisor, to / divisor]
  const factor = CUTOFF * Math.min(1, to / from)
  const radius = CROSSINGS / factor
  const weights = Array.from({ length: phases }, (_, phase) => {
    const centre = ((phase * step) % phases) / phases
    const first = Math.ceil(centre - radius)
    const list = Float64Array.from({ length: Math.floor(centre + radius) - first + 1 }, (_, i) => {
      const x = first + i - centre
      const window = 0.42 + 0.5 * Math.cos((Math.PI * x) / radius) + 0.08 * Math.cos((2 * Math.PI * x) / radius)
      return window * (x === 0 ? 1 : Math.sin(Math.PI * factor * x) / (Math.PI * factor * x))
    })
    const sum = list.reduce((total, weight) => total + weight, 0)
    return { first, list: list.map((weight) => weight / sum) }
  })
  return Float32Array.from({ length: Math.round((samples.length * to) / from) }, (_, at) => {
    const { first, list } = weights[at % phases]!
    const start = Math.floor((at * step) / phases) + first
    let sum = 0
    for (let i = Math.max(0, -start); i < list.length && start + i < samples.length; i++)
      sum += samples[start + i]! * list[i]!
    return sum
  })
}

function greatestDivisor(a: number, b: number): number {
  return b ? greatestDivisor(b, a % b) : a
}
