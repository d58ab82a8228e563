import { join } from 'node:path'
import { Model } from '../../src/graph/model.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import { tensorType } from '../../src/graph/types.ts'
import { writeModel } from '../../src/graph/write.ts'

/** Writes a model `y = x + w` whose `w` (512 floats of `value`) lies in `<name>_data`; returns the path. */
export async function writeExternalModel(
  folder: string,
  name: string,
  value: number,
  location = `${name}_data`,
): Promise<string> {
  const model = new Model({ irVersion: 10, opset: 21 })
  const { graph } = model
  const x = graph.addInput('x', tensorType('float32', [512]))
  const w = graph.addInitializer('w', Tensor.float32([512], new Float32Array(512).fill(value)))
  const add = graph.insert({ op: 'Add', inputs: [x, w], outputs: ['y'], types: [tensorType('float32', [512])] })
  graph.addOutput(add.outputs[0]!)
  const path = join(folder, name)
  await writeModel(model, path, { external: 'always', location })
  return path
}
