import { type Family, LAYER_NORMS } from './family.ts'

/** Encoders of sound and their decoders: keys have no bias. */
export const whisper: Family = {
  types: ['whisper'],
  rules: [...LAYER_NORMS, 'gelu', 'bias-gelu', 'conv'],
  isLike: (traits) =>
    traits.hasAttention &&
    ((traits.readsSound && !traits.readsTokens) ||
      (traits.readsTokens &&
        traits.hasInput(/encoder_hidden_states/) &&
        traits.hasBareProjection &&
        !traits.hasRmsNorm)),
}
