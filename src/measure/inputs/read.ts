import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Model } from '../../graph/model.ts'
import { elementsIn, Tensor } from '../../graph/tensor.ts'
import { readMessage } from '../../onnx/codec.ts'
import { DTYPES, type DType } from '../../onnx/dtypes.ts'
import { OnnxError } from '../../onnx/errors.ts'
import { type NpyArray, readNumpyFile } from '../../onnx/npz.ts'
import { Reader } from '../../onnx/wire.ts'
import type { Feeds } from '../isolated.ts'

/**
 * Inputs from files: a `.npz` with an array per input, or a folder of `input_0.pb`, `input_1.pb`, ... as the ONNX test suites have
 * it (or a folder of such folders). An array with one dimension more than the input, or with more rows than a fixed batch
 * takes, holds several samples.
 *
 * @throws OnnxError `INPUTS_INVALID` for files that do not fit the model, naming the input
 */
export function readInputs(path: string, model: Model): Feeds[] {
  const inputs = model.graph.inputs.filter(({ tensor, sparse }) => !tensor && !sparse)
  let folder: boolean
  try {
    folder = statSync(path).isDirectory()
  } catch (cause) {
    throw new OnnxError('INPUTS_UNREADABLE', `there are no inputs at ${path}`, { cause, place: { file: path } })
  }
  const sets = folder
    ? readFolder(
        path,
        inputs.map(({ name }) => name),
      )
    : [readArrays(path)]
  return sets.flatMap((arrays) => {
    const feeds: Record<string, Tensor> = {}
    for (const input of inputs) {
      const found =
        arrays.get(input.name) ?? arrays.get(`in:${input.name}`) ?? (inputs.length === 1 ? arrays.get('') : undefined)
      if (!found)
        throw new OnnxError('INPUTS_INVALID', `the inputs have no array "${input.name}"`, {
          place: { file: path },
          hint: `The model takes ${inputs.map(({ name }) => name).join(', ')}; the file has ${[...arrays.keys()].join(', ') || 'nothing'}.`,
        })
      feeds[input.name] = fitted(found, input.dtype, input.name, path)
    }
    return split(feeds, model, path)
  })
}

function readArrays(path: string): Map<string, Tensor> {
  if (path.endsWith('.pb')) {
    const { name, tensor } = readTensorProto(path)
    return new Map([[name, tensor]])
  }
  return new Map([...readNumpyFile(path)].map(([name, array]) => [name, tensorOf(array)]))
}

function readFolder(path: string, names: readonly string[]): Map<string, Tensor>[] {
  const files = readdirSync(path).sort()
  const indexed = files.flatMap((file) => {
    const index = /^input_(\d+)\.pb$/.exec(file)?.[1]
    return index === undefined ? [] : [[Number(index), readTensorProto(join(path, file))] as const]
  })
  if (indexed.length) {
    return [new Map(indexed.map(([index, { name, tensor }]) => [name || (names[index] ?? ''), tensor]))]
  }
  const sets = files.filter((file) => statSync(join(path, file)).isDirectory())
  const found = sets.flatMap((file) => readFolder(join(path, file), names))
  const arrays = files.filter((file) => file.endsWith('.npz')).map((file) => readArrays(join(path, file)))
  if (!found.length && !arrays.length)
    throw new OnnxError('INPUTS_INVALID', 'the folder has neither .npz files nor input_0.pb', { place: { file: path } })
  return [...found, ...arrays]
}

function readTensorProto(file: string): { name: string; tensor: Tensor } {
  try {
    const proto = readMessage('TensorProto', new Reader(readFileSync(file)))
    return { name: proto.name ?? '', tensor: Tensor.fromProto(proto, file) }
  } catch (error) {
    if (error instanceof OnnxError) throw error.at({ file })
    throw new OnnxError('INPUTS_INVALID', `this is no tensor: ${(error as Error).message}`, { place: { file } })
  }
}

function tensorOf(array: NpyArray): Tensor {
  return array.dtype === 'string'
    ? Tensor.strings(array.dims, array.strings)
    : Tensor.of(array.dtype, array.dims, array.data)
}

/** NumPy users save int64 where int32 is asked for, and float64 for float32: numbers go over as long as their kind is the same. */
function fitted(tensor: Tensor, dtype: DType | undefined, name: string, file: string): Tensor {
  if (!dtype || tensor.dtype === dtype) return tensor
  const [from, to] = [DTYPES[tensor.dtype ?? 'string'].kind, DTYPES[dtype].kind]
  if (from === 'string' || to === 'string' || (from === 'float' && to !== 'float'))
    throw new OnnxError('INPUTS_INVALID', `"${name}" is ${tensor.dtype}, the model takes ${dtype}`, { place: { file } })
  return Tensor.from(dtype, tensor.dims, tensor.toNumbers())
}

/** Rows of one run, where the model leaves their number open. */
const BATCH = 16

/** Several samples in one set of arrays become several feeds. */
function split(feeds: Record<string, Tensor>, model: Model, file: string): Feeds[] {
  const inputs = model.graph.inputs.filter(({ name, shape }) => feeds[name] && shape !== undefined)
  const stacked = inputs.every(({ name, shape }) => feeds[name]!.dims.length === shape!.length + 1)
  const rows = inputs[0] ? feeds[inputs[0].name]!.dims[0] : undefined
  const sameRows = rows !== undefined && inputs.every(({ name }) => feeds[name]!.dims[0] === rows)
  if (stacked && sameRows) return Array.from({ length: rows }, (_, i) => sliced(feeds, i, 1, true))
  for (const { name, shape } of inputs) {
    const { dims } = feeds[name]!
    const wrong =
      dims.length !== shape!.length || shape!.some((dim, i) => i > 0 && typeof dim === 'number' && dim !== dims[i])
    if (wrong)
      throw new OnnxError(
        'INPUTS_INVALID',
        `"${name}" has the shape [${dims}], the model takes [${shape!.map((dim) => dim ?? '?')}]`,
        {
          place: { file },
        },
      )
  }
  const fixed = inputs.map(({ shape }) => shape![0]).find((dim) => typeof dim === 'number')
  const batch = fixed ?? BATCH
  if (!sameRows || rows <= batch) return [feeds]
  return Array.from({ length: Math.floor(rows / batch) }, (_, i) => sliced(feeds, i * batch, batch, false))
}

function sliced(feeds: Feeds, start: number, count: number, drop: boolean): Feeds {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, tensor]) => {
      const dims = drop ? tensor.dims.slice(1) : [count, ...tensor.dims.slice(1)]
      const row = elementsIn(tensor.dims.slice(1))
      if (tensor.dtype === 'string')
        return [name, Tensor.strings(dims, tensor.toStrings().slice(start * row, (start + count) * row))]
      const bytes = tensor.byteLength / tensor.dims[0]!
      return [name, Tensor.of(tensor.dtype!, dims, tensor.bytes().subarray(start * bytes, (start + count) * bytes))]
    }),
  )
}
