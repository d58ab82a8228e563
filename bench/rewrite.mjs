// Times the fusion rules on graphs of growing size, without ONNX Runtime: how the time grows with the number of nodes.
// Use: npm run bench -- rewrite [largest number of nodes, default 50000]
import { mkdirSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'

/** The parts of the project that the bench calls, bundled. */
let library
let int
let ints
let float

async function load() {
  mkdirSync('.cache/bench', { recursive: true })
  const entry = ['graph/model', 'graph/tensor', 'graph/attributes', 'rewrite/index', 'rules/index', 'rules/legality']
  await build({
    stdin: {
      contents: entry.map((name) => `export * from './src/${name}.ts'`).join('\n'),
      resolveDir: '.',
      loader: 'ts',
    },
    outfile: '.cache/bench/rewrite.mjs',
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    logLevel: 'error',
  })
  library = await import(pathToFileURL('.cache/bench/rewrite.mjs').href)
  ;({ int, ints, float } = library)
}

/** Starts a graph and returns short ways to add to it. */
function start() {
  const { Model, Tensor } = library
  const model = new Model({ opset: 17 })
  const type = { kind: 'tensor', dtype: 'float32', shape: ['batch', 'length', 64] }
  const x = model.graph.addInput('x', type)
  const op = (name, inputs, attributes = {}, shape = type.shape) =>
    model.graph.insert({ op: name, inputs, attributes, types: [{ ...type, shape }] }).output()
  const list = (numbers) => model.graph.addInitializer('c', Tensor.int64(numbers))
  const constant = (value, dims = []) =>
    model.graph.addInitializer(
      'c',
      Tensor.float32(dims, new Float32Array(dims.reduce((product, dim) => product * dim, 1)).fill(value)),
    )
  return { model, x, op, constant, list }
}

const SHAPES = {
  /** Residual layers with a norm and a Gelu in elementary operators: everything fuses. */
  layers(nodes) {
    const { model, x, op, constant } = start()
    let value = x
    while (model.graph.nodeCount < nodes) {
      const mean = op('ReduceMean', [value], { axes: ints([-1]) })
      const d = op('Sub', [value, mean])
      const variance = op('ReduceMean', [op('Pow', [d, constant(2)])], { axes: ints([-1]) })
      const normal = op('Div', [d, op('Sqrt', [op('Add', [variance, constant(1e-5)])])])
      const y = op('Add', [op('Mul', [normal, constant(1, [64])]), constant(0, [64])])
      const z = op('Add', [op('MatMul', [y, x]), constant(0.1, [64])])
      const gelu = op('Mul', [
        op('Mul', [z, constant(0.5)]),
        op('Add', [op('Erf', [op('Div', [z, constant(Math.SQRT2)])]), constant(1)]),
      ])
      value = op('Add', [value, gelu])
    }
    model.graph.addOutput(value)
    return model
  },
  /** Layers of attention in elementary operators. */
  attention(nodes) {
    const { model, x, op, constant, list } = start()
    let value = x
    const heads = (source) => {
      const wide = op('MatMul', [source, constant(0.01, [64, 64])])
      const parted = op('Reshape', [wide, list([0, 0, 4, 16])], {}, ['batch', 'length', 4, 16])
      return op('Transpose', [parted], { perm: ints([0, 2, 1, 3]) }, ['batch', 4, 'length', 16])
    }
    while (model.graph.nodeCount < nodes) {
      const [query, key, content] = [heads(value), heads(value), heads(value)]
      const turned = op('Transpose', [key], { perm: ints([0, 1, 3, 2]) }, ['batch', 4, 16, 'length'])
      const square = ['batch', 4, 'length', 'length']
      const scores = op('Div', [op('MatMul', [query, turned], {}, square), constant(4)], {}, square)
      const weights = op('Softmax', [scores], { axis: int(-1) }, square)
      const result = op('MatMul', [weights, content], {}, ['batch', 4, 'length', 16])
      const back = op('Transpose', [result], { perm: ints([0, 2, 1, 3]) }, ['batch', 'length', 4, 16])
      value = op('Add', [value, op('Reshape', [back, list([0, 0, 64])])])
    }
    model.graph.addOutput(value)
    return model
  },
  /** A long chain of sums and products, in which many patterns begin and none ends. */
  arithmetic(nodes) {
    const { model, x, op, constant } = start()
    let value = x
    for (let i = 0; i < nodes; i++) value = op(i % 2 ? 'Add' : 'Mul', [value, constant(0.5 + (i % 3))])
    model.graph.addOutput(value)
    return model
  },
  /** A chain that one rule shortens from end to end. */
  transposes(nodes) {
    const { model, x, op } = start()
    let value = x
    for (let i = 0; i < nodes; i++) value = op('Transpose', [value], { perm: ints([1, 2, 0]) })
    model.graph.addOutput(op('LeakyRelu', [value], { alpha: float(0.1) }))
    return model
  },
  /** One value that every node reads. */
  'fan-out'(nodes) {
    const { model, x, op, constant } = start()
    const shared = op('Relu', [x])
    let sum = shared
    for (let i = 0; i < nodes / 2; i++) sum = op('Add', [sum, op('Mul', [shared, constant(i)])])
    model.graph.addOutput(sum)
    return model
  },
}

export async function run({ names }) {
  await load()
  const { rewrite, chosenPhases, legalityOf } = library
  const most = Number(names[0]) || 50_000
  const phases = chosenPhases({})
  console.log('graph          nodes   after    ms   us/node')
  for (const [name, make] of Object.entries(SHAPES))
    for (const share of [0.02, 0.1, 0.2, 0.4, 1]) {
      const model = make(Math.round(most * share))
      const before = model.graph.nodeCount
      const from = performance.now()
      rewrite(model, phases, { strict: true, allows: legalityOf('cpu') })
      const ms = performance.now() - from
      const row = [String(before).padStart(6), String(model.graph.nodeCount).padStart(7), ms.toFixed(0).padStart(6)]
      console.log(name.padEnd(13), ...row, ((ms * 1000) / before).toFixed(1).padStart(8))
    }
}
