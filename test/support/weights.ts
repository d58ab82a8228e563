import type { Model } from '../../src/graph/model.ts'
import { createOrtService } from '../../src/ort/service.ts'
import type { Note, PassResult } from '../../src/passes/pass.ts'
import type { WeightOptions } from '../../src/passes/quantize/weights/index.ts'
import { run } from '../../src/passes/quantize/weights/run.ts'

/** Quantizes the weights of a model in place, with the defaults of the pass where `options` does not say otherwise. */
export async function quantizeWeights(
  model: Model,
  { device = 'cpu', ...options }: Partial<WeightOptions> & { device?: string } = {},
): Promise<PassResult & { notes: Note[] }> {
  const notes: Note[] = []
  const result = await run(
    model,
    {
      quantize: 'weights',
      bits: 4,
      symmetric: false,
      algorithm: 'k_quant',
      scaleType: 'float16',
      mixedBits: true,
      embeddings: true,
      weightFormat: 'nbits',
      bnbType: 'nf4',
      precision: 'float32',
      ...options,
    },
    {
      ort: createOrtService(),
      file: 'model.onnx',
      device,
      threads: 1,
      note: (note) => void notes.push(note),
      progress: () => {},
    },
  )
  return { ...result, notes }
}
