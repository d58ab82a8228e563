import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Tensor } from '../../../src/graph/tensor.ts'
import { encodeAdapter } from '../../../src/onnx/adapters/index.ts'
import { readPeftFolder } from '../../../src/passes/adapters/peft.ts'
import {
  columns,
  dora,
  other,
  own,
  rows,
  scale,
  vector,
  type DoraWeights as Weights,
  x,
} from '../../support/dora-model.ts'
import { matrix } from '../../support/matrix.ts'
import { buildModel, copyOf, difference } from '../../support/models.ts'
import { outputsOf, takeOut, written } from '../../support/taken-adapters.ts'
import { temporaryFolder } from '../../support/temporary.ts'
import { quantizeWeights } from '../../support/weights.ts'

const make = (weights: Weights, less?: number) =>
  buildModel(17, (graph, input) => {
    const value = input('x', ['n', rows])
    return [dora(graph, value, '/p/', weights, { less }), dora(graph, value, '/q/', weights, { less })]
  })
function close(actual: Tensor[], expected: Tensor[], tolerance = 1e-4): void {
  expect(actual).toHaveLength(expected.length)
  for (const [i, tensor] of expected.entries()) expect(difference(actual[i], tensor)).toBeLessThan(tolerance)
}

test.each([false, true])('comes out, with equal results; zeros leave the base (pack: %s)', async (pack) => {
  const model = make(own)
  const before = await outputsOf(copyOf(model), { x })
  const result = await takeOut(model, { pack })
  const { inputs, adapters: found } = result.adapters!
  expect(inputs).toEqual(
    pack
      ? ['lora_A.packed_32', 'lora_B.packed_16', 'dora_M.packed_16']
      : ['p', 'q'].flatMap((at) => ['lora_A', 'lora_B', 'dora_M'].map((kind) => `${at}.${kind}.weight`)),
  )
  expect(model.graph.inputs).toHaveLength(inputs.length + 1)
  close(await outputsOf(copyOf(model), { x }), before)
  const base = written(model, result)
  // Nothing is left of the norms.
  expect([...base.graph.nodes()].map(({ opType }) => opType)).not.toContain('ReduceL2')
  expect([...base.graph.initializers].map(({ name }) => name)).not.toContain('a')
  close(await outputsOf(base, { x, ...Object.fromEntries(found[0]!.tensors) }), before)
  const zeros = [...found[0]!.tensors].map(([name, { dims, elementCount }]): [string, Tensor] => [
    name,
    Tensor.float32(dims, new Float32Array(elementCount)),
  ])
  const plain = buildModel(17, (graph, input) => {
    const inputs = [input('x', ['n', rows]), graph.addInitializer('w', matrix(rows, columns, 1))]
    const product = graph.insert({ op: 'MatMul', inputs }).output()
    return [graph.insert({ op: 'Add', inputs: [product, graph.addInitializer('bias', vector(7))] }).output()]
  })
  const [expected] = await outputsOf(plain, { x })
  close(await outputsOf(base, { x, ...Object.fromEntries(zeros) }), [expected!, expected!])
})

test('another factor of the base is no DoRA', async () => {
  await expect(takeOut(make(own, 2))).rejects.toMatchObject({
    code: 'ADAPTER_NOT_FOUND',
    what: expect.stringContaining('not as DoRA'),
  })
})

describe('adapters from files', () => {
  const transposed = (tensor: Tensor, factor = 1) => {
    const [first, second] = tensor.dims as [number, number]
    const from = tensor.float32()
    return Tensor.float32(
      [second, first],
      Float32Array.from(
        { length: from.length },
        (_, i) => from[(i % first) * second + Math.floor(i / first)]! * factor,
      ),
    )
  }
  const entry = (name: string, tensor: Tensor) => ({
    name,
    dtype: 'float32' as const,
    dims: tensor.dims,
    data: tensor.bytes(),
  })

  /** What PEFT saves for both layers, converted; in `folder` as chat.safetensors. */
  function writeOther(folder: string, more: object = {}): void {
    const peft = join(folder, 'peft')
    mkdirSync(peft)
    const rank = 3
    const config = { peft_type: 'LORA', use_dora: true, lora_alpha: scale * rank, r: rank, ...more }
    writeFileSync(join(peft, 'adapter_config.json'), JSON.stringify(config))
    const tensors = ['p', 'q'].flatMap((layer) => [
      entry(`base_model.model.${layer}.lora_A.weight`, transposed(other.a)),
      entry(`base_model.model.${layer}.lora_B.weight`, transposed(other.b)),
      entry(`base_model.model.${layer}.lora_magnitude_vector`, other.magnitude),
    ])
    writeFileSync(join(peft, 'adapter_model.safetensors'), encodeAdapter('safetensors', tensors).bytes)
    const content = encodeAdapter('safetensors', readPeftFolder(peft, 'float32')).bytes
    writeFileSync(join(folder, 'chat.safetensors'), content)
  }

  test('what PEFT saved gives what the model exported with it gives', async () => {
    const folder = temporaryFolder()
    writeOther(folder)
    const model = make(own)
    const result = await takeOut(model, { adapterFiles: { chat: 'chat.safetensors' } }, join(folder, 'model.onnx'))
    const { tensors } = result.adapters!.adapters[1]!
    const after = await outputsOf(written(model, result), { x, ...Object.fromEntries(tensors) })
    close(after, await outputsOf(make(other), { x }))
  })

  test('a base of 8 bits in blocks: norms are those of the quantized weights', async () => {
    const folder = temporaryFolder()
    writeOther(folder)
    const quantized = async (weights: Weights) => {
      const model = make(weights)
      await quantizeWeights(model, { bits: 8, blockSize: 16 })
      return model
    }
    const model = await quantized(own)
    expect([...model.graph.nodes()].some(({ opType }) => opType === 'MatMulNBits')).toBe(true)
    const result = await takeOut(model, { adapterFiles: { chat: 'chat.safetensors' } }, join(folder, 'model.onnx'))
    const { tensors } = result.adapters!.adapters[1]!
    const after = await outputsOf(written(model, result), { x, ...Object.fromEntries(tensors) })
    close(after, await outputsOf(make(other), { x }), 0.1)
  })

  test('a vector alone, of another length, or without use_dora', async () => {
    const folder = temporaryFolder()
    const refused = async (...tensors: ReturnType<typeof entry>[]) => {
      writeFileSync(join(folder, 'bad.npz'), encodeAdapter('npz', tensors).bytes)
      await expect(
        takeOut(make(own), { adapterFiles: { bad: 'bad.npz' } }, join(folder, 'm.onnx')),
      ).rejects.toMatchObject({
        code: 'ADAPTER_MISMATCH',
      })
    }
    await refused(entry('p.lora_magnitude_vector', other.magnitude))
    await refused(entry('p.lora_magnitude_vector', matrix(1, 5, 1)))
    expect(() => writeOther(folder, { use_dora: false })).toThrow('is no LoRA matrix')
  })
})
