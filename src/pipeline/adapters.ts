import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { convertFloats, holdsFloats } from '../graph/float-data.ts'
import type { Model } from '../graph/model.ts'
import { encodeAdapter } from '../onnx/adapters/index.ts'
import { isFloat } from '../onnx/dtypes.ts'
import type { ModelAdapters } from '../passes/pass.ts'
import type { AdapterFile } from './cache/entry.ts'

/**
 * Takes the default values from the inputs of adapters, now that no pass runs the model any more, and writes a file per
 * adapter, its weights in the types that the inputs have by now.
 */
export function writeAdapters(
  model: Model,
  { format, inputs, adapters }: ModelAdapters,
  { folder, name }: { folder: string; name: string },
): { inputs: string[]; files: AdapterFile[] } {
  const wanted = new Set(inputs)
  const values = model.graph.inputs.filter((value) => wanted.has(value.name))
  for (const value of values) if (value.tensor) model.graph.removeInitializer(value)
  const stem = name.replace(/\.onnx$/, '')
  const taken = new Set<string>()
  const files = adapters.map(({ name: adapter, tensors }): AdapterFile => {
    const weights = values.map((value) => {
      const given = tensors.get(value.name)!
      const isChanged = isFloat(value.dtype) && holdsFloats(given) && value.dtype !== given.dtype
      const tensor = isChanged ? convertFloats(given, value.dtype!) : given
      return { name: value.name, dtype: tensor.dtype!, dims: tensor.dims, data: tensor.bytes() }
    })
    const { bytes, offsets } = encodeAdapter(format, weights)
    let file = `${stem}-${adapter.replace(/[^\w.-]+/g, '_')}`
    while (taken.has(file.toLowerCase())) file += '_'
    taken.add(file.toLowerCase())
    writeFileSync(join(folder, `${file}.${format}`), bytes)
    return {
      name: `${file}.${format}`,
      bytes: bytes.length,
      hash: createHash('sha256').update(bytes).digest('hex'),
      adapter,
      tensors: weights.map(({ dims }, i) => ({ offset: offsets[i]!, dims: [...dims] })),
    }
  })
  return { inputs: values.map((value) => value.name), files }
}
