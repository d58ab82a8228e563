import { Tensor } from '../../../../graph/tensor.ts'
import { DTYPES } from '../../../../onnx/dtypes.ts'
import { type NpyArray, readNumpyFile } from '../../../../onnx/npz.ts'
import { isConvertible } from './convert.ts'
import { badData, type CalibrationData, type DataRequest, describeInput, type Feeds, type InputSpec } from './types.ts'

type Arrays = ReadonlyMap<string, NpyArray>

/**
 * A `.npz` or `.npy` file. Arrays are called as the model's inputs, or mapped to them; a model with one input takes the only
 * array that fits. The first axis counts samples; it may be the batch axis of the input, or an axis more. Arrays called
 * `SAMPLE.INPUT` give one sample each, so that samples may differ in shape.
 */
export function numpyData(request: DataRequest): CalibrationData {
  const { path } = request
  let samples: ((i: number) => Feeds | undefined) | undefined
  return {
    async *open() {
      const arrays = samples ? undefined : readNumpyFile(path)
      samples ??= grouped(arrays!, request) ?? sliced(arrays!, request)
      for (let i = 0; ; i++) {
        const feeds = samples(i)
        if (!feeds) return
        yield feeds
      }
    },
  }
}

/** Arrays `SAMPLE.INPUT`: all samples have the same inputs. */
function grouped(arrays: Arrays, { inputs, sources }: DataRequest): ((i: number) => Feeds | undefined) | undefined {
  const inputOf = new Map(inputs.map(({ name }) => [sources[name] ?? name, name]))
  if ([...arrays.keys()].some((name) => inputOf.has(name))) return undefined
  const groups = new Map<string, Record<string, Tensor>>()
  for (const [key, array] of arrays) {
    const input = [...inputOf.keys()].find((name) => key.endsWith(`.${name}`))
    if (input === undefined) continue
    const sample = key.slice(0, -input.length - 1)
    const feeds = groups.get(sample) ?? {}
    feeds[inputOf.get(input)!] = tensorOf(array)
    groups.set(sample, feeds)
  }
  const samples = [...groups.values()]
  return samples.length ? (i) => samples[i] : undefined
}

interface Column {
  input: InputSpec
  array: NpyArray
  /** Elements of the first axis that make one sample. */
  rows: number
  /** True if the first axis is no axis of the input. */
  extra: boolean
}

function sliced(arrays: Arrays, request: DataRequest): (i: number) => Feeds | undefined {
  const columns = request.inputs.flatMap((input): Column[] => {
    const array = arrays.get(request.sources[input.name] ?? input.name) ?? onlyFitting(arrays, input, request)
    if (!array) return []
    const rank = input.shape?.length
    const extra = rank !== undefined && array.dims.length === rank + 1
    const first = input.shape?.[0]
    return [{ input, array, rows: !extra && typeof first === 'number' ? Math.max(1, first) : 1, extra }]
  })
  if (!columns.length)
    throw badData(
      arrays.size
        ? `no input of the model has an array: the file has ${describeArrays(arrays)}`
        : 'the file holds no arrays',
      request.path,
      `The model's inputs are ${request.inputs.map(describeInput).join(', ')}. Arrays of other names are mapped with calibrationInputs ARRAY:INPUT.`,
    )
  const counts = columns.map(({ array, rows }) => (array.dims.length ? array.dims[0]! / rows : Number.NaN))
  const count = counts[0] ?? 0
  // Inputs without a common first axis are one sample as they are.
  const whole = counts.some((other) => other !== count || !Number.isInteger(other))
  return (i) => {
    if (i >= (whole ? 1 : count)) return undefined
    return Object.fromEntries(
      columns.map(({ input, array, rows, extra }) => [
        input.name,
        whole ? tensorOf(array) : slice(array, i * rows, rows, extra),
      ]),
    )
  }
}

/** For a model with one input: the only array that could be meant. */
function onlyFitting(arrays: Arrays, input: InputSpec, { inputs, sources, path }: DataRequest): NpyArray | undefined {
  const required = inputs.filter(({ optional }) => !optional)
  if (sources[input.name] !== undefined || required.length !== 1 || required[0] !== input) return undefined
  const fitting = [...arrays].filter(([, { dtype, dims }]) => {
    const rank = input.shape?.length
    return (
      isConvertible(dtype, input.dtype) &&
      (dtype === input.dtype || DTYPES[dtype].kind !== 'int') &&
      (rank === undefined || dims.length === rank || dims.length === rank + 1)
    )
  })
  if (fitting.length === 1) return fitting[0]![1]
  if (!arrays.size) return undefined
  throw badData(
    `${fitting.length ? 'more than one of the arrays may be' : 'no array fits'} the input ${describeInput(input)}: the file has ${describeArrays(arrays)}`,
    path,
    fitting.length
      ? `Say which it is: calibrationInputs ARRAY:${input.name}.`
      : 'Save it with the dimensions and the element type of the input; the first dimension may count samples.',
  )
}

/** Names, types and dimensions. The array of a .npy file has no name. */
function describeArrays(arrays: Arrays): string {
  return [...arrays].map(([name, { dtype, dims }]) => `${name && `"${name}" `}${dtype} [${dims.join(', ')}]`).join(', ')
}

function tensorOf(array: NpyArray): Tensor {
  if (array.dtype === 'string') return Tensor.strings(array.dims, array.strings)
  return Tensor.of(array.dtype, array.dims, array.data)
}

function slice(array: NpyArray, start: number, rows: number, extra: boolean): Tensor {
  const rest = array.dims.slice(1)
  const dims = extra ? rest : [rows, ...rest]
  const size = rest.reduce((product, dim) => product * dim, 1)
  if (array.dtype === 'string') return Tensor.strings(dims, array.strings.slice(start * size, (start + rows) * size))
  const bytes = (DTYPES[array.dtype].bits / 8) * size
  return Tensor.of(array.dtype, dims, array.data.subarray(start * bytes, (start + rows) * bytes))
}
