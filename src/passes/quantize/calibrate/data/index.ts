import { readdirSync } from 'node:fs'
import { extname } from 'node:path'
import type { Model } from '../../../../graph/model.ts'
import type { Tensor } from '../../../../graph/tensor.ts'
import { OnnxError } from '../../../../onnx/errors.ts'
import { convert, isConvertible, misfit } from './convert.ts'
import { dataSets, locate } from './files.ts'
import { imageFiles } from './image-files.ts'
import { type ImageOptions, imageData } from './images.ts'
import { jsonLinesData } from './json-lines.ts'
import { moduleData } from './module.ts'
import { numpyData } from './numpy.ts'
import { protobufData } from './protobuf.ts'
import { statOf } from './stat.ts'
import { badData, type CalibrationData, type DataRequest, describeInput, type Feeds, type InputSpec } from './types.ts'

export type { CalibrationData, Feeds, InputSpec } from './types.ts'

const READERS: Readonly<Record<string, (request: DataRequest) => CalibrationData>> = {
  '.npz': numpyData,
  '.npy': numpyData,
  '.jsonl': jsonLinesData,
  '.ndjson': jsonLinesData,
  '.js': moduleData,
  '.mjs': moduleData,
  '.cjs': moduleData,
  '.ts': moduleData,
  '.mts': moduleData,
}

/** Where calibration data comes from. */
export interface DataOptions extends ImageOptions {
  /** A file or folder; relative paths are resolved against the model's folder, then against the working directory. */
  calibration: string
  /** Names of the model's inputs by name in the data. */
  calibrationInputs?: Readonly<Record<string, string>> | undefined
  /** At most so many samples are used. */
  calibrationSamples?: number | undefined
}

/**
 * Opens calibration data for a model. Every sample is checked: it has a tensor for every input that needs one, of a type and shape
 * that fit; integers and floats of another width are converted.
 *
 * @throws OnnxError `CALIBRATION_DATA` saying which sample is wrong and why, also when there are no samples
 */
export function openData(model: Model, options: DataOptions): CalibrationData {
  const path = locate(options.calibration, model.file ?? '.')
  const inputs = inputsOf(model)
  const sources = Object.fromEntries(
    Object.entries(options.calibrationInputs ?? {}).map(([name, input]) => [input, name]),
  )
  for (const name of Object.keys(sources))
    if (!inputs.some((input) => input.name === name))
      throw new OnnxError('OPTION_INVALID', `calibrationInputs: the model has no input "${name}"`, {
        hint: `Its inputs are ${inputs.map(describeInput).join(', ')}.`,
      })
  const request = { path, inputs, sources }
  const data = readerOf(path)?.(request) ?? imageData(request, options, model.file ?? path)
  return {
    async *open() {
      let count = 0
      for await (const feeds of data.open()) {
        yield check(feeds, inputs, count, path)
        if (++count >= (options.calibrationSamples ?? Number.POSITIVE_INFINITY)) return
      }
      if (count === 0)
        throw badData('the calibration data holds no samples', path, 'Give at least one; around a hundred are usual.')
    },
  }
}

/** The inputs that a caller of a model feeds. */
export function inputsOf(model: Model): InputSpec[] {
  return model.graph.inputs
    .map(({ name, dtype, shape, tensor, sparse }) => ({ name, dtype, shape, optional: Boolean(tensor ?? sparse) }))
    .filter(({ optional }) => !optional || model.initializersAreOverridable)
}

/** Undefined for a folder of images. */
function readerOf(path: string): ((request: DataRequest) => CalibrationData) | undefined {
  if (statOf(path)!.isDirectory()) {
    if (dataSets(path).length) return protobufData
    if (imageFiles(path).length) return undefined
    const found = readdirSync(path).slice(0, 5)
    throw badData(
      'the folder holds neither test data nor images',
      path,
      `Expected test_data_set_N/input_M.pb or images${found.length ? `, found ${found.join(', ')}` : ', but it is empty'}.`,
    )
  }
  const reader = READERS[extname(path).toLowerCase()]
  if (reader) return reader
  throw badData(
    `calibration data can't be read from a file of this kind`,
    path,
    `Known are ${Object.keys(READERS).join(', ')} and folders with test_data_set_N/input_M.pb or images.`,
  )
}

function check(feeds: Feeds, inputs: readonly InputSpec[], sample: number, path: string): Feeds {
  const missing = inputs.filter(({ name, optional }) => !optional && !feeds[name])
  if (missing.length)
    throw badData(
      `sample ${sample} has no data for ${missing.map(({ name }) => `"${name}"`).join(', ')}`,
      path,
      `The model's inputs are ${inputs.map(describeInput).join(', ')}. Data under other names is mapped with calibrationInputs NAME:INPUT.`,
    )
  const checked: Record<string, Tensor> = {}
  for (const input of inputs) {
    const tensor = feeds[input.name]
    if (!tensor) continue
    const wrong = misfit(tensor.dims, input)
    if (wrong !== undefined || !isConvertible(tensor.dtype, input.dtype))
      throw badData(
        `sample ${sample}: "${input.name}" is ${tensor.dtype} [${tensor.dims.join(', ')}]: ${wrong ?? `it must be ${input.dtype}`}`,
        path,
        `The model's inputs are ${inputs.map(describeInput).join(', ')}.`,
      )
    checked[input.name] = convert(tensor, input.dtype)
  }
  return checked
}
