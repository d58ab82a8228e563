import type { ModelType } from './names.ts'
import type { Traits } from './traits.ts'

/** A kind of model: the rules that find something in it, and how it is recognised. */
export interface Family {
  /** Model types that are this family, the usual one first. */
  readonly types: readonly [ModelType, ...ModelType[]]
  /** Rules (or groups of them) of its own, besides those that every model gets. */
  readonly rules: readonly string[]
  /** Rules that otherwise run on request only. */
  readonly also?: readonly string[]
  /** Whether a model looks like one of the family. Families are asked in order, and the first that says yes wins. */
  isLike(traits: Traits): boolean
}

/** What every model gets: attention in any layout, with rotary positions or without, and what clears the way to it and after it. */
export const EVERYWHERE: readonly string[] = ['softmax', 'shapes', 'rotary-embedding', 'attention', 'gemm', 'merge']

/** Post-norm or pre-norm layers with LayerNormalization. */
export const LAYER_NORMS: readonly string[] = ['layer-norm', 'skip-layer-norm', 'bias-skip-layer-norm']

/** Layers with RMS normalization. */
export const RMS_NORMS: readonly string[] = ['rms-norm', 'skip-layer-norm', 'bias-skip-layer-norm']
