import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { globSync } from 'tinyglobby'
import { readModel } from '../../src/graph/import.ts'
import type { Tensor } from '../../src/graph/tensor.ts'
import { OnnxError } from '../../src/onnx/errors.ts'
import { readTensors } from './npz.ts'
import { hasShared, shared, sharedDir } from './shared.ts'

/** Inputs of a model and the outputs that ONNX Runtime gives for them without optimization. */
export interface Recorded {
  feeds: Record<string, Tensor>
  expected: Record<string, Tensor>
}

/** Shared models under `folders` that can be read, e.g. `own/minilm.onnx`, sorted. */
export function readableModels(folders: readonly string[] = ['own', 'real', 'issues', 'fusion']): string[] {
  if (!hasShared) return []
  return globSync(
    folders.map((folder) => `${folder}/*.onnx`),
    { cwd: sharedDir },
  )
    .filter((file) => {
      try {
        readModel(shared(file))
        return true
      } catch (error) {
        if (error instanceof OnnxError) return false
        throw error
      }
    })
    .sort()
}

/** All recorded runs of a shared model. */
export function recordedRuns(file: string): Recorded[] {
  const folder = dirname(file)
  const name = basename(file, '.onnx')
  if (folder !== 'own') {
    const path = shared(join(folder, 'io', `${name}.npz`))
    if (!existsSync(path)) return []
    const arrays = [...readTensors(path)]
    const part = (prefix: string) =>
      Object.fromEntries(
        arrays.flatMap(([key, data]) => (key.startsWith(prefix) ? [[key.slice(prefix.length), data]] : [])),
      )
    return [{ feeds: part('in:'), expected: part('out:') }]
  }
  return ['', '2', '3'].flatMap((which) => {
    const [inputs, outputs] = ['inputs', 'expected'].map((kind) => shared(`own/${name}-${kind}${which}.npz`))
    if (!existsSync(inputs!) || !existsSync(outputs!)) return []
    return [{ feeds: Object.fromEntries(readTensors(inputs!)), expected: Object.fromEntries(readTensors(outputs!)) }]
  })
}
