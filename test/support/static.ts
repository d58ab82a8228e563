import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readModelBytes } from '../../src/graph/import.ts'
import type { Model } from '../../src/graph/model.ts'
import { createOrtService } from '../../src/ort/service.ts'
import { openSession } from '../../src/ort/session.ts'
import type { Note, PassResult } from '../../src/passes/pass.ts'
import { staticParams } from '../../src/passes/quantize/static/params.ts'
import { run } from '../../src/passes/quantize/static/run.ts'
import type { StaticOptions } from '../../src/passes/quantize/static/settings.ts'

/** What the reference tool does by default, where it differs from the default here. */
export const REFERENCE: Partial<StaticOptions> = {
  sparePairs: false,
  allOps: true,
  maskAware: false,
  matmulConstOnly: false,
  smoothNorms: false,
  perChannel: false,
  reduceRange: false,
  weightType: 'int8',
}

/** The default of every parameter that has one. */
export const DEFAULTS: StaticOptions = {
  ...Object.fromEntries(
    Object.entries(staticParams).flatMap(([key, spec]) => ('default' in spec ? [[key, spec.default]] : [])),
  ),
  quantize: 'static',
} as StaticOptions

/** Quantizes a model in place, with defaults where `options` does not say otherwise. */
export async function quantizeStatic(
  model: Model,
  options: Partial<StaticOptions>,
): Promise<PassResult & { notes: Note[]; ranges: Record<string, [number, number]> }> {
  const notes: Note[] = []
  const result = await run(
    model,
    { ...DEFAULTS, ...options },
    {
      ort: createOrtService(),
      file: model.file ?? 'model.onnx',
      device: 'cpu',
      threads: 2,
      note: (note) => void notes.push(note),
      progress: () => {},
    },
  )
  const data = result.data as { ranges?: Record<string, [number, number]> } | undefined
  return { ...result, notes, ranges: data?.ranges ?? {} }
}

/** A model as ONNX Runtime's optimizer leaves it at level `basic`: what the reference tool starts from. */
export async function optimizedBasic(file: string): Promise<Model> {
  const folder = mkdtempSync(join(tmpdir(), 'unplugin-onnx-static-'))
  try {
    const optimizedModelFilePath = join(folder, 'model.onnx')
    const session = await openSession(file, { graphOptimizationLevel: 'basic', optimizedModelFilePath })
    await session.release()
    return readModelBytes(readFileSync(optimizedModelFilePath))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
