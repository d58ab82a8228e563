import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createOptimizer } from '../../../src/api.ts'
import { ints } from '../../../src/graph/attributes.ts'
import { readModel } from '../../../src/graph/import.ts'
import type { Model } from '../../../src/graph/model.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import { type ChannelLastOptions, run } from '../../../src/passes/channel-last/run.ts'
import { buildModel, bytesOf, copyOf, difference, runModel } from '../../support/models.ts'
import { randomTensor, samplesOf, weight } from '../../support/static.ts'
import { temporaryFolder } from '../../support/temporary.ts'

/** A convolution whose result is read again inside, and a sum over pixels. */
const convolution = (): Model => {
  const model = buildModel(17, (graph, input) => {
    const x = input('x', ['n', 3, 6, 5])
    const attributes = { pads: ints([1, 1, 1, 1]) }
    const conv = graph.insert({ op: 'Conv', inputs: [x, weight(graph, 'w', 4, 3, 3, 3)], attributes }).output()
    return [conv, graph.insert({ op: 'GlobalAveragePool', inputs: [conv] }).output()]
  })
  const [image] = model.graph.outputs
  image!.name = 'image'
  model.graph.outputs[1]!.name = 'mean'
  return model
}

/** With axis 1 last, by the definition. */
function channelLast(tensor: Tensor): Tensor {
  const [n, c, h, w] = tensor.dims as [number, number, number, number]
  const from = tensor.toNumbers()
  const data = Float32Array.from({ length: from.length }, (_, i) => {
    const [channel, pixel, image] = [i % c, Math.floor(i / c) % (h * w), Math.floor(i / (c * h * w))]
    return from[(image * c + channel) * h * w + pixel]!
  })
  return Tensor.float32([n, h, w, c], data)
}

const x = randomTensor(2, 3, 6, 5)

describe('channels last', () => {
  test.each<[string, ChannelLastOptions]>([
    ['inputs', { inputsToMakeChannelLast: ['x'] }],
    ['outputs', { outputsToMakeChannelLast: ['image'] }],
    ['both, named twice', { inputsToMakeChannelLast: ['x', 'x'], outputsToMakeChannelLast: ['image', 'mean'] }],
  ])('%s: the same numbers, turned', async (_, options) => {
    const model = convolution()
    const before = await runModel(model, { x })
    model.graph.outputs[0]!.type = { kind: 'tensor', dtype: 'float32', shape: ['n', 4, 6, 5] }
    model.graph.outputs[1]!.type = { kind: 'tensor', dtype: 'float32', shape: ['n', 4, 1, 1] }
    const { inputsToMakeChannelLast: inputs, outputsToMakeChannelLast: outputs } = options
    const names = new Set([...(inputs ?? []), ...(outputs ?? [])])
    expect(run(model, options)).toEqual({ changes: names.size })
    const read = copyOf(model)
    expect(read.graph.inputs[0]!.shape).toEqual(inputs ? ['n', 6, 5, 3] : ['n', 3, 6, 5])
    expect(read.graph.outputs.map(({ name }) => name)).toEqual(['image', 'mean'])
    expect(read.graph.outputs[0]!.shape).toEqual(outputs ? ['n', 6, 5, 4] : ['n', 4, 6, 5])
    const after = await runModel(read, { x: inputs ? channelLast(x) : x })
    for (const [name, expected] of Object.entries(before))
      expect(difference(after[name], outputs?.includes(name) ? channelLast(expected) : expected)).toBeLessThan(1e-6)
  })

  test.each<[ChannelLastOptions, string]>([
    [{ inputsToMakeChannelLast: ['z'] }, 'the model has no input "z"'],
    [{ inputsToMakeChannelLast: ['x'], outputsToMakeChannelLast: ['imag'] }, 'Did you mean "image"?'],
    [{ outputsToMakeChannelLast: ['mean'] }, 'is not known to have three dimensions'],
    [{ inputsToMakeChannelLast: ['given'] }, 'has a default value'],
    [{ inputsToMakeChannelLast: ['through'] }, 'is an input and an output at once'],
  ])('near miss %o: nothing is changed', (options, message) => {
    const model = convolution()
    const { graph } = model
    graph.setInitializer(graph.addInput('given'), Tensor.float32([1], [1]))
    graph.addOutput(graph.addInput('through', graph.inputs[0]!.type))
    const before = bytesOf(model)
    expect(() => run(model, options)).toThrow(message)
    expect(Buffer.compare(bytesOf(model), before)).toBe(0)
  })
})

test('a static build takes calibration data with the channels last', async () => {
  const folder = temporaryFolder()
  const file = join(folder, 'model.onnx')
  writeFileSync(file, bytesOf(convolution()))
  const { calibration } = samplesOf(1, 6, 5, 3)
  const output = join(folder, 'out.onnx')
  const optimizer = createOptimizer({ root: folder })
  const options = { preset: ['qnn'], forceInputs: true, inputsToMakeChannelLast: ['x'], output }
  await optimizer.transform(file, { ...options, calibration: resolve(calibration) })
  await expect(
    optimizer.transform(file, { ...options, calibration: resolve(calibration), verify: true }),
  ).rejects.toMatchObject({ code: 'OPTION_CONFLICT' })
  await optimizer.close()
  const built = readModel(output)
  expect(built.graph.inputs[0]!.shape).toEqual(['n', 6, 5, 3])
  // Integers from the first operator on: the Transpose moves codes.
  expect(built.graph.inputs[0]!.users.map(({ opType }) => opType)).toEqual(['QuantizeLinear'])
  const before = await runModel(readModel(file), { x })
  const after = await runModel(built, { x: channelLast(x) })
  for (const [name, expected] of Object.entries(before)) expect(difference(after[name], expected)).toBeLessThan(0.3)
})
