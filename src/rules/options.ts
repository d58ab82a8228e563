/** What the user says about fusing, for rules that depend on it. */
export interface FusionOptions {
  /** Model type, `auto` where it is to be found out. */
  type: string
  /** What attention operators get for a padding mask. */
  mask: 'raw' | 'index' | 'none'
  /** Checked against what the graph says; undefined: take it from the graph. */
  numHeads: number | undefined
  hiddenSize: number | undefined
  /** Replace the exact Gelu by its tanh approximation. */
  geluApproximation: boolean
}
