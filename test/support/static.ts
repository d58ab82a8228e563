import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Graph } from '../../src/graph/graph.ts'
import { readModelBytes } from '../../src/graph/import.ts'
import type { Model } from '../../src/graph/model.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import type { Value } from '../../src/graph/value.ts'
import { createOrtService } from '../../src/ort/service.ts'
import { openSession } from '../../src/ort/session.ts'
import type { Note, PassResult } from '../../src/passes/pass.ts'
import { staticParams } from '../../src/passes/quantize/static/params.ts'
import { run } from '../../src/passes/quantize/static/run.ts'
import type { StaticOptions } from '../../src/passes/quantize/static/settings.ts'
import { temporaryFolder } from './temporary.ts'

let state = 7
/** Numbers from -1 to 1, always the same. */
export const random = (): number => {
  state = (state * 48271) % 2147483647
  return (state / 2147483647) * 2 - 1
}

/** A tensor of numbers from -1 to 1. */
export function randomTensor(...dims: number[]): Tensor {
  return Tensor.float32(dims, Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, random))
}

export function weight(graph: Graph, name: string, ...dims: number[]): Value {
  return graph.addInitializer(name, randomTensor(...dims))
}

/** Writes a file of JSON, or of a text, into a temporary folder. */
export function jsonFile(name: string, content: unknown): string {
  const path = join(temporaryFolder(), name)
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

/** Calibration data of eight samples of shape `dims` for the input `x`; the first is returned too. */
export function samplesOf(...dims: number[]): { calibration: string; x: Tensor } {
  const samples = Array.from({ length: 8 }, () => randomTensor(...dims))
  const lines = samples.map((x) => JSON.stringify({ x: { dims: [...x.dims], data: x.toNumbers() } }))
  return { calibration: jsonFile('data.jsonl', lines.join('\n')), x: samples[0]! }
}

/** What the reference tool does by default, where it differs from the default here. */
export const REFERENCE: Partial<StaticOptions> = {
  sparePairs: false,
  allOps: true,
  wideActivations: 'quantize',
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
