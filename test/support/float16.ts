import type { Model } from '../../src/graph/model.ts'
import { createOrtService } from '../../src/ort/service.ts'
import type { Float16Options } from '../../src/passes/float16/index.ts'
import { run } from '../../src/passes/float16/run.ts'
import type { Note, PassResult } from '../../src/passes/pass.ts'

/** Converts a model to float16 in place, with defaults where `options` does not say otherwise. */
export async function toHalf(
  model: Model,
  {
    device = 'cpu',
    file = 'model.onnx',
    ...options
  }: Partial<Float16Options> & { device?: string; file?: string } = {},
): Promise<PassResult & { notes: Note[] }> {
  const notes: Note[] = []
  const result = await run(
    model,
    {
      precision: 'float16',
      keepIoTypes: true,
      overflow: 'keep',
      mixedRuns: 64,
      mixedRescale: true,
      rangeCheck: true,
      ...options,
    },
    {
      ort: createOrtService(),
      file,
      device,
      threads: 1,
      note: (note) => void notes.push(note),
      progress: () => {},
    },
  )
  return { ...result, notes }
}
