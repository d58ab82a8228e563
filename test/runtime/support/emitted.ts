import { mkdirSync, mkdtempSync, realpathSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { InferenceSession } from 'onnxruntime-node'
import type { VariantInput } from '../../../src/codegen/module.ts'
import type { IoInfo, ModelInfo } from '../../../src/pipeline/types.ts'

export const root: string = resolve(import.meta.dirname, '../../..')

/** An empty folder from which packages of the project resolve. */
export function projectFolder(): string {
  const cache = resolve(root, 'node_modules/.cache')
  mkdirSync(cache, { recursive: true })
  return realpathSync(mkdtempSync(resolve(cache, 'unplugin-onnx-test-')))
}

/** The info of a model, as ONNX Runtime sees it. */
export async function readInfo(file: string): Promise<ModelInfo> {
  const session = await InferenceSession.create(file)
  const read = (values: readonly InferenceSession.ValueMetadata[]): IoInfo[] =>
    values.map((value) =>
      value.isTensor
        ? { name: value.name, dtype: value.type, type: `tensor(${value.type})`, shape: [...value.shape] }
        : { name: value.name, type: 'other' },
    )
  const info = { inputs: read(session.inputMetadata), outputs: read(session.outputMetadata) }
  await session.release()
  return { ...info, opsets: { '': 17 }, irVersion: 8, producer: 'test', metadata: {}, ops: {} }
}

/** A variant that a bundler plugin could ask for. */
export async function variantOf(file: string, device: string, urlExpression: string): Promise<VariantInput> {
  const bytes = statSync(file).size
  return { target: device, device, info: await readInfo(file), bytes, urlExpression, external: [] }
}
