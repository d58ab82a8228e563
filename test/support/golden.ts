import { readFileSync } from 'node:fs'
import { shared } from './shared.ts'

/** A scale or zero point that a reference tool wrote: all values, or where there are many the first eight. */
export interface GoldenParameter {
  type: string
  shape: number[]
  values?: number[]
  first?: number[]
  /** Start of the SHA-256 of all values' bytes. */
  sha?: string
}

/** What the reference tool (the Python quantizer of ONNX Runtime 1.30) made of a model with one setting. */
export interface GoldenSetting {
  options: {
    weight_type?: string
    per_channel?: boolean
    reduce_range?: boolean
    extra_options?: { WeightSymmetric?: boolean }
    [key: string]: unknown
  }
  error?: string
  ops: Record<string, number>
  bytes: number
  qparams: Record<string, GoldenParameter>
  run: Record<string, { diff: { max_abs: number; min_cosine: number; nan: boolean }[] }>
}

/** The reference results for a shared model, by section (`dynamic`, `static` ...) and setting. */
export function golden(name: string): Record<string, Record<string, GoldenSetting>> {
  const text = readFileSync(shared(`own/golden/${name}.json`), 'utf8')
  // Python writes numbers that JSON does not have.
  return JSON.parse(text.replace(/([[,:]\s*)(-?)Infinity/g, '$1$21e999').replace(/([[,:]\s*)NaN/g, '$1null'))
}
