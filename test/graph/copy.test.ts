import { expect, test } from 'vitest'
import { graph as graphAttribute } from '../../src/graph/attributes.ts'
import { copyModel, copyNodes } from '../../src/graph/copy.ts'
import { Graph } from '../../src/graph/graph.ts'
import type { Model } from '../../src/graph/model.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import { tensorType } from '../../src/graph/types.ts'
import { buildModel, copyOf } from '../support/models.ts'

/** BeamSearch with two bodies, which use the names of the main graph and of each other, and a node named as its result. */
function searching(): Model {
  const model = buildModel(17, (graph, input) => {
    const ids = input('input_ids', ['batch', 'sequence'], 'int32')
    const node = graph.insert({ op: 'BeamSearch', domain: 'com.microsoft', inputs: [ids], outputs: ['sequences'] })
    for (const name of ['encoder', 'decoder']) {
      const body = new Graph(graph.model, name, node)
      const own = body.addInput('input_ids', tensorType('int32', ['batch', 'sequence']))
      const weight = body.addInitializer('weight', Tensor.int64([1]))
      weight.name = 'weight'
      const cast = body.insert({ op: 'Cast', inputs: [own], outputs: ['cast'] })
      const sum = body.insert({ op: 'Add', inputs: [cast.output(), weight], outputs: ['logits'] })
      cast.output().name = 'cast'
      sum.output().name = 'logits'
      body.addOutput(sum.output())
      node.attributes.set(name, graphAttribute(body))
    }
    return [node.output()]
  })
  model.useDomain('com.microsoft')
  const [search] = model.graph.nodes()
  search!.name = 'sequences'
  return copyOf(model)
}

test('a copy of a model has its names, also where bodies share them', () => {
  const model = searching()
  const { model: copy } = copyModel(model)
  const values = (some: Model): string[] =>
    [...some.allGraphs()].flatMap((graph) =>
      [
        ...graph.inputs,
        ...graph.initializers,
        ...[...graph.nodes()].flatMap(({ outputs }) => outputs),
        ...graph.outputs,
      ].map((value) => value!.name),
    )
  expect(values(copy)).toEqual(values(model))
  expect(values(copyOf(copy))).toEqual(values(model))
  expect(copy.names.fresh('logits')).not.toBe('logits')
})

test('nodes that are copied beside themselves: bodies of operators like BeamSearch take and give the same names', () => {
  const { model } = copyModel(searching())
  const ids = model.graph.inputs[0]!
  const [copy] = copyNodes(model.graph, model.graph, { prefix: 'again/', values: new Map([[ids, ids]]) })
  expect(copy!.output().name).toMatch(/^again.sequences/)
  for (const body of copy!.subgraphs) {
    expect(body.inputs.map(({ name }) => name)).toEqual(['input_ids'])
    expect(body.outputs.map(({ name }) => name)).toEqual(['logits'])
    expect([...body.nodes()][0]!.output().name).toMatch(/^again\/cast/)
  }
})
