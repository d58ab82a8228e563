import type { Node } from '../../graph/node.ts'
import { elementsIn } from '../../graph/tensor.ts'
import { finding, type LintRule } from '../finding.ts'

const LAYOUTS = ['0,2,3,1', '0,3,1,2']

/** Transposes of images between channels first and channels last. */
export const layout: LintRule = ({ model }) => {
  const nodes = [...model.graph.allNodes()].filter(
    (node) =>
      node.is('Transpose') &&
      LAYOUTS.includes(String(node.ints('perm'))) &&
      !node.input(0)?.constant &&
      isOfImage(node),
  )
  const bytes = nodes.map(sizeOf).reduce((sum, size) => sum + size, 0)
  const chained = nodes.filter(undoesEarlier).length
  return finding('layout', nodes, {
    message: `Transposes between the layouts NCHW and NHWC${chained ? `, ${chained} of them back again after few operators` : ''}`,
    cost: bytes
      ? `${(bytes / 1e6).toPrecision(3)} MB of memory traffic a run`
      : 'a pass over memory each, and fusions stop there',
    change:
      'Export the model in one layout (for PyTorch NCHW throughout); the runtime changes the layout inside where it helps.',
  })
}

const IMAGE_OPS = new Set([
  'Conv',
  'ConvTranspose',
  'MaxPool',
  'AveragePool',
  'GlobalAveragePool',
  'Resize',
  'DepthToSpace',
])
const BARRIERS = new Set(['MatMul', 'Gemm', 'Softmax', 'Reshape', 'Attention'])

/** True if an operator of images is near, before or behind it: attention transposes its heads with the same permutations. */
function isOfImage(node: Node): boolean {
  const search = (step: (at: Node) => Node[]): boolean => {
    let front = step(node)
    for (let depth = 0; depth < 6 && front.length; depth++) {
      if (front.some(({ opType }) => IMAGE_OPS.has(opType))) return true
      front = front.filter(({ opType }) => !BARRIERS.has(opType)).flatMap(step)
    }
    return false
  }
  return (
    search((at) => at.outputs.flatMap((value) => value?.users ?? [])) ||
    search((at) => at.inputs.flatMap((value) => value?.producer ?? []))
  )
}

/** Operators that give the same in either layout. */
const ELEMENTWISE = new Set([
  'Relu',
  'LeakyRelu',
  'Sigmoid',
  'Tanh',
  'Clip',
  'Cast',
  'Identity',
  'Gelu',
  'HardSwish',
  'Erf',
])

/** True if another Transpose lies before, with nothing between that needs its layout. */
function undoesEarlier(node: Node): boolean {
  let at = node.input(0)?.producer
  for (let depth = 0; at && depth < 8 && ELEMENTWISE.has(at.opType); depth++) at = at.input(0)?.producer
  return !!at?.is('Transpose') && LAYOUTS.includes(String(at.ints('perm')))
}

/** Bytes that a Transpose reads and writes, where its shape is known. */
function sizeOf(node: Node): number {
  const shape = node.output().shape ?? []
  if (!shape.length || !shape.every((dim) => typeof dim === 'number')) return 0
  return elementsIn(shape) * (node.output().dtype === 'float16' ? 2 : 4) * 2
}
