import { OnnxSessionError } from '../error.ts'

/** How the next token is drawn from the logits. */
export interface SampleOptions {
  /** Divides the logits: below 1 is more certain, above 1 more varied. 0 takes the most likely token. Default 1. */
  temperature?: number
  /** Only this many of the most likely tokens. Default: all. */
  topK?: number
  /** Only the most likely tokens whose probabilities add up to this much, 0..1. Default 1: all. */
  topP?: number
  /** Makes the draws the same every time. Default: at random. */
  seed?: number
}

/** Draws the index of a token from its logits. */
export type Sampler = (logits: ArrayLike<number>) => number

/** Index of the largest number; the first of equals. NaN is never the largest. */
function greedy(logits: ArrayLike<number>): number {
  let best = 0
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]! || Number.isNaN(logits[best]!)) best = i
  return best
}

/**
 * A sampler: greedy without options, else by the probabilities that the softmax of the logits gives.
 * @throws OnnxSessionError GENERATE_OPTION
 */
export function sampler(options: SampleOptions | undefined): Sampler {
  if (!options) return greedy
  const { temperature = 1, topK = Number.POSITIVE_INFINITY, topP = 1, seed } = options
  const wrong = (what: string) => new OnnxSessionError('GENERATE_OPTION', `sample: ${what}`)
  if (!(temperature >= 0)) throw wrong(`temperature is ${temperature}, not 0 or more`)
  if (!(topK >= 1)) throw wrong(`topK is ${topK}, not 1 or more`)
  if (!(topP > 0 && topP <= 1)) throw wrong(`topP is ${topP}, not above 0 and at most 1`)
  if (temperature === 0) return greedy
  const random = seed === undefined ? Math.random : seeded(seed)
  return (logits) => {
    const largest = logits[greedy(logits)]!
    let order = Array.from({ length: logits.length }, (_, i) => i).filter((i) => !Number.isNaN(logits[i]!))
    // Sorting a vocabulary takes longer than a small model's step: only where the order matters.
    if (topK < order.length || topP < 1) order = order.sort((a, b) => logits[b]! - logits[a]!).slice(0, topK)
    const weights = order.map((i) => Math.exp((logits[i]! - largest) / temperature))
    let total = weights.reduce((sum, weight) => sum + weight, 0)
    if (topP < 1) {
      let [kept, sum] = [0, 0]
      while (kept < weights.length && sum < topP * total) sum += weights[kept++]!
      weights.length = kept
      total = sum
    }
    let left = random() * total
    let at = 0
    while (at < weights.length - 1 && left >= weights[at]!) left -= weights[at++]!
    return order[at]!
  }
}

/** Numbers in 0..1 that follow from a seed: a Weyl sequence through the finaliser of MurmurHash3 (32 bits). */
function seeded(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x9e3779b9) | 0
    let hash = Math.imul(state ^ (state >>> 16), 0x85ebca6b)
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
    return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
  }
}
