import type { Pass } from '../pass.ts'

const params = {
  inputInt32: {
    type: 'boolean',
    doc: 'Integer inputs of the model become int32: what callers have in JavaScript without BigInt, and what fused embeddings take',
    default: false,
  },
} as const

/** Makes integer inputs int32. The model's signature changes: callers must give the other type. */
export const inputInt32: Pass<typeof params> = {
  name: 'input-int32',
  version: 1,
  doc: 'Turns integer inputs into int32, with a Cast back where another type is needed',
  params,
  enabled: (options) => options.inputInt32,
  lossless: true,
  run: async (model, _options, context) => (await import('./run.ts')).run(model, context),
}
