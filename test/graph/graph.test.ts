import { describe, expect, test } from 'vitest'
import { graph as graphAttribute, int } from '../../src/graph/attributes.ts'
import { modelToProto } from '../../src/graph/export.ts'
import { Graph } from '../../src/graph/graph.ts'
import { modelFromProto } from '../../src/graph/import.ts'
import { Model } from '../../src/graph/model.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import { tensorType } from '../../src/graph/types.ts'
import type { Value } from '../../src/graph/value.ts'
import type { GraphProto } from '../../src/onnx/proto.ts'

const vector = tensorType('float32', [4])

function model(): { model: Model; graph: Graph; x: Value } {
  const model = new Model({ opset: 17 })
  return { model, graph: model.graph, x: model.graph.addInput('x', vector) }
}

const types = (graph: Graph): string[] => [...graph.nodes()].map(({ opType }) => opType)

describe('uses', () => {
  test('follow setInput, also for a value read twice by one node', () => {
    const { graph, x } = model()
    const relu = graph.insert({ op: 'Relu', inputs: [x] }).output()
    const add = graph.insert({ op: 'Add', inputs: [relu, relu] })
    expect([relu.uses.size, relu.users, relu.onlyUser]).toEqual([2, [add], undefined])
    add.setInput(0, x)
    expect([relu.uses.size, relu.onlyUser]).toEqual([1, add])
    add.setInputs([null, x])
    expect([relu.isUnused, add.inputCount]).toEqual([true, 2])
    add.setInputs([x])
    expect([add.inputCount, x.uses.size]).toEqual([1, 2])
  })

  test('a graph output is not unused and has no only user', () => {
    const { graph, x } = model()
    const y = graph.insert({ op: 'Relu', inputs: [x] }).output()
    graph.addOutput(y)
    graph.insert({ op: 'Neg', inputs: [y] })
    expect([y.isUnused, y.onlyUser]).toEqual([false, undefined])
    expect(() => graph.remove(y.producer!)).toThrow('still used')
  })

  test('removing a node with a body gives up what the body captured', () => {
    const { model: whole, graph, x } = model()
    const relu = graph.insert({ op: 'Relu', inputs: [x] })
    const owner = graph.insert({ op: 'If', inputs: [graph.addInput('c', tensorType('bool', []))] })
    const body = new Graph(whole, 'then', owner)
    body.addOutput(body.insert({ op: 'Neg', inputs: [relu.output()] }).output())
    owner.attributes.set('then_branch', graphAttribute(body))
    expect(relu.output().users[0]!.graph).toBe(body)
    graph.remove(owner)
    expect(relu.output().isUnused).toBe(true)
  })
})

describe('replace', () => {
  test('a new node takes over readers and the name of the output', () => {
    const { graph, x } = model()
    const old = graph.insert({ op: 'Relu', inputs: [x], outputs: ['y'] }).output()
    graph.addOutput(old)
    const reader = graph.insert({ op: 'Neg', inputs: [old] })
    const fresh = graph.insert({ op: 'Abs', inputs: [x] }, { before: old.producer }).output()
    graph.replace(old, fresh)
    graph.remove(old.producer!)
    expect([graph.outputs[0], fresh.name, reader.input(0)]).toEqual([fresh, 'y', fresh])
    expect(types(graph)).toEqual(['Abs', 'Neg'])
  })

  test('an input in place of an output needs an Identity to keep both names', () => {
    const { graph, x } = model()
    const old = graph.insert({ op: 'Relu', inputs: [x], outputs: ['y'] }).output()
    graph.addOutput(old)
    graph.replace(old, x)
    graph.remove(old.producer!)
    expect([types(graph), graph.outputs[0]!.name, x.name]).toEqual([['Identity'], 'y', 'x'])
  })
})

describe('order', () => {
  test('is stable: only what must move moves', () => {
    const { graph, x } = model()
    const a = graph.insert({ op: 'Relu', inputs: [x] })
    const b = graph.insert({ op: 'Neg', inputs: [x] })
    const c = graph.insert({ op: 'Abs', inputs: [x] })
    expect(graph.sort()).toBe(false)
    a.setInput(0, c.output())
    expect(graph.sort()).toBe(true)
    expect([...graph.nodes()]).toEqual([b, c, a])
  })

  test('what a body captures comes before its node', () => {
    const { model: whole, graph, x } = model()
    const owner = graph.insert({ op: 'If', inputs: [graph.addInput('c', tensorType('bool', []))] })
    const late = graph.insert({ op: 'Relu', inputs: [x] })
    const body = new Graph(whole, 'then', owner)
    body.addOutput(late.output())
    owner.attributes.set('then_branch', graphAttribute(body))
    graph.sort()
    expect([...graph.nodes()]).toEqual([late, owner])
  })

  test('a cycle is an error that names nodes on it', () => {
    const { graph, x } = model()
    const a = graph.insert({ op: 'Relu', inputs: [x], name: 'first' })
    const b = graph.insert({ op: 'Neg', inputs: [a.output()], name: 'second' })
    a.setInput(0, b.output())
    expect(() => graph.sort()).toThrow(/cycle through first, second/)
  })

  test('nodes removed and inserted during a walk', () => {
    const { graph, x } = model()
    for (let i = 0; i < 6; i++) graph.insert({ op: 'Relu', inputs: [x], name: `n${i}` })
    const seen: string[] = []
    for (const node of graph.nodes()) {
      seen.push(node.name)
      if (node.name !== 'n1') continue
      const following = node.next!
      graph.remove(node)
      graph.remove(following)
    }
    expect(seen).toEqual(['n0', 'n1', 'n3', 'n4', 'n5'])
    expect(graph.nodeCount).toBe(4)
  })
})

describe('constants', () => {
  test('initializers, Constant nodes of every kind, but no initializer that callers may override', () => {
    const { model: whole, graph, x } = model()
    const w = graph.addInitializer('w', Tensor.int64([1, 2]))
    const node = graph.insert({ op: 'Constant', inputs: [], attributes: { value_int: int(7) } }).output()
    expect([w.constant?.toNumbers(), node.constant?.scalar(), x.constant]).toEqual([[1, 2], 7, undefined])
    graph.registerInput(w)
    expect(w.constant).toBeUndefined()
    whole.irVersion = 3
    expect(w.constant?.toNumbers()).toEqual([1, 2])
  })
})

describe('what no runtime could execute is refused with names', () => {
  const invalid = (change: (graph: GraphProto) => void): (() => unknown) => {
    const { model: whole, graph, x } = model()
    graph.addOutput(graph.insert({ op: 'Relu', inputs: [x], name: 'relu', outputs: ['y'] }).output())
    const proto = modelToProto(whole)
    change(proto.graph!)
    return () => modelFromProto(proto)
  }

  test('an input that nothing computes', () => {
    expect(
      invalid((graph) => {
        graph.node![0]!.input = ['ghost']
      }),
    ).toThrow(/"ghost", which nothing computes[\s\S]*relu/)
  })
  test('an output that nothing computes', () => {
    expect(
      invalid((graph) => {
        graph.output![0]!.name = 'ghost'
      }),
    ).toThrow(/graph output "ghost"/)
  })
  test('two values of one name', () => {
    expect(invalid((graph) => void graph.node!.push({ ...graph.node![0]!, name: 'twin' }))).toThrow(
      /two values are called "y"/,
    )
  })
  test('a tensor with too little data', () => {
    const tensor = { name: 'w', dims: [3], dataType: 1, rawData: new Uint8Array(8) }
    expect(
      invalid((graph) => {
        graph.initializer = [tensor]
      }),
    ).toThrow(/"w" of float32 \[3\] takes 12 bytes/)
  })
})
