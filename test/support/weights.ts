import type { Model } from '../../src/graph/model.ts'
import { createOrtService } from '../../src/ort/service.ts'
import type { Note, PassResult } from '../../src/passes/pass.ts'
import type { WeightOptions } from '../../src/passes/quantize/weights/index.ts'
import { weightParams } from '../../src/passes/quantize/weights/params.ts'
import { run } from '../../src/passes/quantize/weights/run.ts'

/** The default of every parameter that has one. */
const DEFAULTS: WeightOptions = {
  ...Object.fromEntries(
    Object.entries(weightParams).flatMap(([key, spec]) => ('default' in spec ? [[key, spec.default]] : [])),
  ),
  quantize: 'weights',
} as WeightOptions

/** Quantizes the weights of a model in place, with the defaults of the pass where `options` does not say otherwise. */
export async function quantizeWeights(
  model: Model,
  { device = 'cpu', ...options }: Partial<WeightOptions> & { device?: string } = {},
): Promise<PassResult & { notes: Note[] }> {
  const notes: Note[] = []
  const result = await run(
    model,
    {
      ...DEFAULTS,
      ...options,
    },
    {
      ort: createOrtService(),
      file: model.file ?? 'model.onnx',
      device,
      threads: 1,
      note: (note) => void notes.push(note),
      progress: () => {},
    },
  )
  return { ...result, notes }
}
