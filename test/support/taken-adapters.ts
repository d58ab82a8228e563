import type { Model } from '../../src/graph/model.ts'
import type { Tensor } from '../../src/graph/tensor.ts'
import { adapters } from '../../src/passes/adapters/index.ts'
import type { PassResult } from '../../src/passes/pass.ts'
import { copyOf, passContext, runModel } from './models.ts'

/** Takes the adapters out of a model as inputs. */
export function takeOut(model: Model, more: object = {}, file = 'model.onnx'): Promise<PassResult> | PassResult {
  return adapters.run(model, { adapters: 'inputs', adapterFormat: 'onnx_adapter', ...more }, passContext({ file }))
}

/** The model as it is written: weights of adapters are inputs without default values. */
export function written(model: Model, { adapters }: PassResult): Model {
  for (const input of [...model.graph.inputs])
    if (adapters!.inputs.includes(input.name)) model.graph.removeInitializer(input)
  return copyOf(model)
}

/** All outputs of a run, in their order. */
export async function outputsOf(model: Model, feeds: Record<string, Tensor>): Promise<Tensor[]> {
  return Object.values(await runModel(model, feeds))
}
