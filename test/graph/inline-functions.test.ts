import { describe, expect, test } from 'vitest'
import { tensor } from '../../src/graph/attributes.ts'
import { inlineFunctions, reasonToStay } from '../../src/graph/inline-functions.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import { tensorType } from '../../src/graph/types.ts'
import { randomTensor } from '../support/dynamic.ts'
import { addFunction, call, functionsFeeds, functionsModel } from '../support/functions.ts'
import { buildModel, copyOf, difference, runModel, signatureOf } from '../support/models.ts'

describe("a model's own functions", () => {
  test.each([true, false])('nested, with attributes and bodies: the same results (%s)', async (condition) => {
    const model = functionsModel()
    const inlined = copyOf(model)
    expect(inlineFunctions(inlined)).toBe(6)
    expect(inlined.functions).toEqual([])
    expect(signatureOf(inlined)).toBe(signatureOf(model))
    const feeds = functionsFeeds(9, condition)
    const [expected, actual] = [await runModel(model, feeds), await runModel(copyOf(inlined), feeds)]
    for (const [name, tensor] of Object.entries(expected)) expect(difference(actual[name], tensor)).toBe(0)
  })

  test('results keep their names, what is inside has those of the calls before its own', () => {
    const model = functionsModel()
    inlineFunctions(model)
    const nodes = [...model.graph.allNodes()]
    expect(nodes.filter(({ opType }) => opType === 'Gemm').map(({ name }) => name)).toEqual([
      'layer.0/first/gemm',
      'layer.0/second/gemm',
      'layer.1/first/gemm',
      'layer.1/second/gemm',
    ])
    const values = nodes.flatMap(({ outputs }) => outputs.map((value) => value!.name))
    expect(values).toContain('layer.0_out')
    expect(values).toContain('layer.0/first_out')
    expect(new Set(values).size).toBe(values.length)
  })

  test('a large constant of a function that is called twice is there once', () => {
    const model = functionsModel()
    inlineFunctions(model)
    expect(model.histogram()).not.toHaveProperty('Constant')
    const products = [...model.graph.allNodes()].filter(({ opType }) => opType === 'MatMul')
    expect(products).toHaveLength(2)
    expect(products[0]!.input(1)).toBe(products[1]!.input(1))
  })

  test('only those that are wanted, and those that call them', async () => {
    const model = functionsModel()
    addFunction(model, 'Plain', ['x'], (body, inputs) => [
      body.insert({ op: 'Relu', inputs, outputs: ['plain_y'] }).output(),
    ])
    model.graph.addOutput(call(model.graph, 'Plain', 'plain', [model.graph.inputs[0]!]))
    const inlined = copyOf(model)
    const told: string[] = []
    const count = inlineFunctions(inlined, {
      wants: ({ name }) => name === 'Dense',
      copied: (copy, original, { name }) => void told.push(`${copy.name} is ${original.name} of ${name}`),
    })
    expect(count).toBe(6)
    expect(inlined.functions.map(({ name }) => name)).toEqual(['Plain'])
    expect(told).toContain('layer.1/second/gemm is gemm of layer.1/second')
    expect(told).toContain('layer.1/matmul is matmul of layer.1')
    const feeds = functionsFeeds(9, true)
    const [expected, actual] = [await runModel(model, feeds), await runModel(inlined, feeds)]
    for (const [name, tensor] of Object.entries(expected)) expect(difference(actual[name], tensor)).toBe(0)
  })

  test('outputs that are inputs, constants, or the same value twice', async () => {
    const model = buildModel(17, () => [])
    const x = model.graph.addInput('x', tensorType('float32', [2, 3]))
    addFunction(model, 'Many', ['a'], (body, [a]) => {
      const value = tensor(Tensor.float32([2, 300], new Float32Array(600).fill(2)))
      const constant = body.insert({ op: 'Constant', inputs: [], attributes: { value }, outputs: ['many_c'] }).output()
      const relu = body.insert({ op: 'Relu', inputs: [a!], outputs: ['many_r'] }).output()
      return [body.insert({ op: 'Identity', inputs: [a!], outputs: ['many_a'] }).output(), constant, relu]
    })
    const many = model.graph.insert({
      op: 'Many',
      domain: 'custom',
      name: 'many',
      inputs: [x],
      outputs: ['o0', 'o1', 'o2'],
    })
    for (const value of many.outputs) {
      const twice = model.graph.insert({ op: 'Neg', inputs: [value] }).output()
      model.graph.addOutput(twice)
      model.graph.addOutput(value!)
    }
    const inlined = copyOf(model)
    expect(inlineFunctions(inlined)).toBe(1)
    const feeds = { x: randomTensor([2, 3]) }
    const [expected, actual] = [await runModel(model, feeds), await runModel(inlined, feeds)]
    expect(Object.keys(actual)).toEqual(Object.keys(expected))
    for (const [name, tensor] of Object.entries(expected)) expect(difference(actual[name], tensor)).toBe(0)
  })

  test('what means something else in the model stays, with a reason', () => {
    const model = buildModel(17, () => [])
    const x = model.graph.addInput('x', tensorType('float32', [2, 3]))
    const relu = (name: string, options: object): void =>
      addFunction(
        model,
        name,
        ['a'],
        (body, inputs) => [body.insert({ op: 'Relu', inputs, outputs: [`${name}_y`] }).output()],
        options,
      )
    relu('Older', { opsets: new Map([['', 12]]) })
    relu('Tables', { defaults: [{ name: 'table', type: 4, t: { dims: [0], dataType: 1 } }] })
    for (const name of ['Older', 'Tables']) model.graph.addOutput(call(model.graph, name, name, [x]))
    expect(inlineFunctions(model)).toBe(0)
    expect(model.functions.map((fn) => reasonToStay(fn, model))).toEqual([
      'it is written for version 12 of the standard operators, the model for 17',
      'its attribute "table" has a default that is no number, string or list of numbers',
    ])
  })
})
