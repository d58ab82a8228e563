import { type Attributes, float, graph as graphAttribute, int, tensor } from '../../src/graph/attributes.ts'
import { Graph } from '../../src/graph/graph.ts'
import type { LocalFunction, Model } from '../../src/graph/model.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import { tensorType } from '../../src/graph/types.ts'
import type { Value } from '../../src/graph/value.ts'
import { randomTensor } from './dynamic.ts'
import { buildModel } from './models.ts'

/** Adds a function of domain `custom` to a model; `build` fills its body and returns what comes out. */
export function addFunction(
  model: Model,
  name: string,
  inputs: readonly string[],
  build: (body: Graph, inputs: Value[]) => readonly Value[],
  options: Partial<Pick<LocalFunction, 'attributes' | 'defaults' | 'opsets'>> = {},
): void {
  const graph = new Graph(model, name)
  const values = inputs.map((input) => graph.addInput(input))
  for (const value of build(graph, values)) graph.addOutput(value)
  const opsets = new Map([
    ['', model.opset],
    ['custom', 1],
  ])
  model.functions.push({
    name,
    domain: 'custom',
    overload: '',
    graph,
    attributes: [],
    defaults: [],
    opsets,
    extra: {},
    ...options,
  })
  model.useDomain('custom')
}

/** Calls a function of `addFunction`. */
export function call(
  graph: Graph,
  name: string,
  as: string,
  inputs: readonly Value[],
  attributes: Attributes = {},
): Value {
  return graph.insert({ op: name, domain: 'custom', name: as, inputs, attributes, outputs: [`${as}_out`] }).output()
}

/** A product and a LeakyRelu whose slope is an attribute of the function, 0.5 unless said; `transB` is one too. */
function addDense(model: Model): void {
  addFunction(
    model,
    'Dense',
    ['x', 'w', 'b'],
    (body, inputs) => {
      const gemm = body.insert({ op: 'Gemm', inputs, name: 'gemm', outputs: ['dense_t'] })
      gemm.attributes.set('transB', { kind: 'reference', value: 'transposed', type: 2 })
      const leaky = body.insert({ op: 'LeakyRelu', inputs: [gemm.output()], name: 'leaky', outputs: ['dense_y'] })
      leaky.attributes.set('alpha', { kind: 'reference', value: 'slope', type: 1 })
      return [leaky.output()]
    },
    { attributes: ['transposed'], defaults: [{ name: 'slope', type: 1, f: 0.5 }] },
  )
}

/**
 * `[4, 16] -> [4, 16]` in three layers of functions: `Block` calls `Dense` twice, has an If around a product, and a weight of its own;
 * the model calls `Block` twice.
 */
export function functionsModel(): Model {
  const model = buildModel(17, () => [])
  const { graph } = model
  const x = graph.addInput('x', tensorType('float32', [4, 16]))
  const c = graph.addInput('c', tensorType('bool', []))
  addDense(model)
  addFunction(
    model,
    'Block',
    ['x', 'w', 'b', 'c'],
    (body, [x, w, b, c]) => {
      const first = call(body, 'Dense', 'first', [x!, w!, b!], { transposed: int(1), slope: float(0.1) })
      const second = call(body, 'Dense', 'second', [first, w!, b!], { transposed: int(0) })
      const value = tensor(randomTensor([16, 16], 5, 0.4))
      const own = body.insert({ op: 'Constant', inputs: [], attributes: { value }, outputs: ['own'] }).output()
      const choice = body.insert({ op: 'If', inputs: [c!], name: 'choice', outputs: ['chosen'] })
      for (const name of ['then_branch', 'else_branch']) {
        const branch = new Graph(model, name, choice)
        const op = name === 'then_branch' ? 'MatMul' : 'Add'
        const inputs = op === 'MatMul' ? [second, own] : [second, first]
        branch.addOutput(branch.insert({ op, inputs, name: op.toLowerCase(), outputs: [`${op}_y`] }).output())
        choice.attributes.set(name, graphAttribute(branch))
      }
      return [choice.output()]
    },
    {},
  )
  const weights = [2, 3].map((seed) => graph.addInitializer('w', randomTensor([16, 16], seed, 0.4)))
  const bias = graph.addInitializer('b', randomTensor([16], 4))
  const middle = call(graph, 'Block', 'layer.0', [x, weights[0]!, bias, c])
  const last = call(graph, 'Block', 'layer.1', [middle, weights[1]!, bias, c])
  last.type = tensorType('float32', [4, 16])
  graph.addOutput(last)
  return model
}

/** Feeds of `functionsModel`, for either branch. */
export function functionsFeeds(seed: number, condition: boolean): Record<string, Tensor> {
  return { x: randomTensor([4, 16], seed), c: Tensor.from('bool', [], [condition ? 1 : 0]) }
}
