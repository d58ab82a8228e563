import type { Graph } from '../../../src/graph/graph.ts'
import type { Model } from '../../../src/graph/model.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import type { Dim } from '../../../src/graph/types.ts'
import type { DType } from '../../../src/onnx/dtypes.ts'
import { createOrtService } from '../../../src/ort/service.ts'
import { OPTIONS, readParams } from '../../../src/params/read.ts'
import type { StepsInput } from '../../../src/params/spec.ts'
import type { PassResult } from '../../../src/passes/pass.ts'
import { processing } from '../../../src/passes/processing/index.ts'
import { buildModel, copyOf, passContext } from '../../support/models.ts'

/** A model that hands its input `x` on as `y`, through one node. */
export function passingOn(dims: readonly Dim[], options: { dtype?: DType; opset?: number; op?: string } = {}): Model {
  const { dtype = 'float32', opset = 18, op = 'Identity' } = options
  const model = buildModel(opset, (graph: Graph, input) => [
    graph.insert({ op, inputs: [input('x', dims, dtype)], outputs: ['y'] }).output(),
  ])
  return copyOf(model)
}

/** Reads the steps as a query or a configuration gives them, and adds them. */
export async function process(
  model: Model,
  steps: {
    preprocess?: StepsInput
    postprocess?: StepsInput
    toolCommand?: string
    toolCommandArgs?: Readonly<Record<string, string>>
  },
  file = 'model.onnx',
): Promise<PassResult> {
  const options = readParams(processing.params, Object.entries(steps), OPTIONS)
  return await processing.run(model, options as never, passContext({ file }))
}

export interface Pixels {
  data: ArrayLike<number>
  width: number
  height: number
  channels?: number
}

/** The image as the graph takes it. */
export function pixels({ data, width, height, channels = 4 }: Pixels): Tensor {
  return Tensor.of('uint8', [height, width, channels], Uint8Array.from(data))
}

export async function evaluate(model: Model, feeds: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
  return createOrtService().evaluate(model, feeds)
}

/** Largest difference. */
export function apart(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY
  let worst = 0
  for (let i = 0; i < a.length; i++) {
    worst = Math.max(worst, Math.abs(a[i]! - b[i]!))
  }
  return worst
}
