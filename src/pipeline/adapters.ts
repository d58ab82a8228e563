import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { convertFloats, holdsFloats } from '../graph/float-data.ts'
import type { Model } from '../graph/model.ts'
import type { Tensor } from '../graph/tensor.ts'
import type { Value } from '../graph/value.ts'
import type { PlacedData } from '../graph/write.ts'
import { encodeAdapter } from '../onnx/adapters/index.ts'
import { codeOf, isFloat } from '../onnx/dtypes.ts'
import type { ModelAdapters } from '../passes/pass.ts'
import type { AdapterFile } from './cache/entry.ts'
import { contentHash } from './content-hash.ts'

/** What became of the adapters of a model. */
export interface WrittenAdapters {
  /** Inputs of the model that take an adapter's weights. */
  inputs: string[]
  files: AdapterFile[]
  /** Initializers whose data are in the file of an adapter. */
  placed: ReadonlyMap<string, PlacedData>
}

/**
 * Takes the default values from the inputs of adapters, now that no pass runs the model any more, and writes a file per
 * adapter, its weights in the types that the inputs have by now. External ones become initializers again, whose data are in the
 * first adapter's file, and at the same places in that of any other.
 */
export function writeAdapters(
  model: Model,
  { format, isExternal, inputs, adapters }: ModelAdapters,
  { folder, name }: { folder: string; name: string },
): WrittenAdapters {
  const wanted = new Set(inputs)
  const values = model.graph.inputs.filter((value) => wanted.has(value.name))
  if (isExternal) for (const value of values) absorbCast(value)
  const stem = name.replace(/\.onnx$/, '')
  const taken = new Set<string>()
  const files = adapters.map(({ name: adapter, tensors }): AdapterFile => {
    const weights = values.map((value) => {
      const tensor = typed(tensors.get(value.name)!, value)
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
      hash: contentHash(bytes),
      adapter,
      tensors: weights.map(({ dims }, i) => ({ offset: offsets[i]!, dims: [...dims] })),
    }
  })
  const placed = new Map<string, PlacedData>()
  const [first] = files
  for (const [i, value] of values.entries()) {
    const { tensor } = value
    if (!isExternal) {
      if (tensor) model.graph.removeInitializer(value)
      continue
    }
    model.graph.setInitializer(value, typed(tensor!, value))
    model.graph.removeInput(value)
    placed.set(value.name, { location: first!.name, offset: first!.tensors[i]!.offset })
  }
  return {
    inputs: isExternal ? [] : values.map((value) => value.name),
    files: isExternal ? files.map((file) => ({ ...file, location: first!.name })) : files,
    placed,
  }
}

/** The weights in the type that the value has by now. */
function typed(given: Tensor, { type }: Value): Tensor {
  // The type that the value has; its data may still be as they were.
  const dtype = type?.kind === 'tensor' ? type.dtype : undefined
  return isFloat(dtype) && holdsFloats(given) && dtype !== given.dtype ? convertFloats(given, dtype!) : given
}

/** A conversion to another type of float, which inputs need, becomes one of the weights. */
function absorbCast(value: Value): void {
  const node = value.onlyUser
  const { dtype } = node?.is('Cast') ? node.output() : {}
  if (!node || !isFloat(dtype) || node.int('to', 0) !== codeOf(dtype!)) return
  value.type = node.output().type
  node.graph.replace(node.output(), value)
  node.graph.remove(node)
}
