import type { Model } from '../../src/graph/model.ts'
import { createOrtService } from '../../src/ort/service.ts'
import type { Note, PassResult } from '../../src/passes/pass.ts'
import { run } from '../../src/passes/quantize/dynamic/run.ts'
import type { DynamicOptions } from '../../src/passes/quantize/dynamic/tools.ts'

/** The plain recipe that the reference tool uses by default. */
export const PLAIN = { weightType: 'int8', perChannel: false, reduceRange: false } as const

/** Quantizes a model in place, with defaults where `options` does not say otherwise. */
export async function quantizeDynamic(
  model: Model,
  options: Partial<DynamicOptions> = {},
): Promise<PassResult & { notes: Note[] }> {
  const notes: Note[] = []
  const result = await run(
    model,
    { quantize: 'dynamic', perChannel: true, matmulConstOnly: true, ...options },
    {
      ort: createOrtService(),
      file: 'model.onnx',
      device: 'cpu',
      threads: 1,
      note: (note) => void notes.push(note),
      progress: () => {},
    },
  )
  return { ...result, notes }
}
