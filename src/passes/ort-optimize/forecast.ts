import { closeSync, ftruncateSync, openSync, rmSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { modelToProto } from '../../graph/export.ts'
import { modelFromProto } from '../../graph/import.ts'
import type { Model } from '../../graph/model.ts'
import { decodeFile, forEachTensor } from '../../onnx/decode.ts'
import { dtypeOf } from '../../onnx/dtypes.ts'
import { encodeToBytes } from '../../onnx/encode.ts'
import { OnnxError } from '../../onnx/errors.ts'
import type { TensorProto } from '../../onnx/proto.ts'
import { type AttemptInput, optimizationKeys } from './attempt.ts'
import { differences } from './differences.ts'
import { FAST } from './trial.ts'

/** Tensors from this size on are weights: what the optimizer does does not depend on their numbers, but for folding them. */
const LARGE = 1 << 16
/** With fewer bytes of weights than this the optimizer itself takes no time. */
const WORTHWHILE = 1 << 24
const ZEROS = 'zeros'
/** `TensorProto.data_location` for data in another file. */
const EXTERNAL = 1

/**
 * Whether ONNX Runtime's optimizer would change a large model at all, without its weights: they are all the same empty part of a
 * file. Takes the time of the graph, not of the weights.
 *
 * @param folder where files can be made
 */
export async function wouldChange(input: Input, disabled: ReadonlySet<string>): Promise<boolean> {
  const { model, level, folder, ort } = input
  const proto = modelToProto(model)
  let [weights, longest] = [0, 0]
  const initializer = proto.graph!.initializer?.map((tensor): TensorProto => {
    const length = tensor.rawData?.length ?? 0
    if (length < LARGE || !dtypeOf(tensor.dataType ?? 0)) return tensor
    weights += length
    longest = Math.max(longest, length)
    const { rawData: _, ...rest } = tensor
    const externalData = Object.entries({ location: ZEROS, offset: 0, length }).map(([key, value]) => ({
      key,
      value: String(value),
    }))
    return { ...rest, dataLocation: EXTERNAL, externalData }
  })
  if (weights < WORTHWHILE) return true
  const file = join(folder, 'forecast.onnx')
  await writeFile(file, encodeToBytes({ ...proto, graph: { ...proto.graph!, initializer: initializer ?? [] } }))
  makeEmpty(join(folder, ZEROS), longest)
  // What is written differs from the original in more than what was optimized: both ways are written alike.
  const written = async (graphOptimizationLevel: Input['level'] | 'disabled'): Promise<Model> => {
    // References to weights are written as they are; with a data file they would be read one by one.
    const target = join(folder, 'forecast-optimized')
    const session = await ort.open(file, {
      graphOptimizationLevel,
      optimizedModelFilePath: target,
      extra: { ...FAST.extra, optimization: optimizationKeys(input, disabled) },
    })
    await session.release()
    const model = nodesOf(target)
    rmSync(target, { force: true })
    return model
  }
  try {
    return differences(await written('disabled'), await written(level)) > 0
  } catch (error) {
    if (error instanceof OnnxError) return true
    throw error
  }
}

/** A model whose weights do not matter, and need not be there. */
function nodesOf(file: string): Model {
  const proto = decodeFile(file)
  forEachTensor(proto, (tensor) => {
    if (tensor.dataLocation !== EXTERNAL) return
    Object.assign(tensor, { dims: [0], dataLocation: 0, externalData: [], rawData: new Uint8Array() })
  })
  return modelFromProto(proto)
}

type Input = Pick<AttemptInput, 'model' | 'level' | 'geluApproximation' | 'folder' | 'ort'>

/** A file of zeros that takes no room where the file system knows holes. */
function makeEmpty(path: string, length: number): void {
  const file = openSync(path, 'w')
  ftruncateSync(file, length)
  closeSync(file)
}
