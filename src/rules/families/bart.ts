import { type Family, LAYER_NORMS } from './family.ts'

/** Encoders and decoders of text, with attention across. */
export const bart: Family = {
  types: ['bart'],
  rules: [...LAYER_NORMS, 'embed-layer-norm', 'gelu', 'bias-gelu'],
  isLike: (traits) =>
    traits.readsTokens &&
    (traits.hasInput(/encoder_hidden_states|encoder_outputs|decoder_input_ids/) ||
      (traits.has('Range') && traits.tables.length === 2)),
}
