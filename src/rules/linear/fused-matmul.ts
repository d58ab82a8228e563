import type { Node } from '../../graph/node.ts'
import type { Value } from '../../graph/value.ts'
import { constantOf, type Failure, no, type Rule, rule } from '../../rewrite/index.ts'

const EMITS = ['com.microsoft:FusedMatMul']
const PRODUCTS = ['MatMul', 'com.microsoft:FusedMatMul']

/** Products with weights stay plain: quantization looks for those. */
function isComputed(...values: readonly Value[]): true | Failure {
  const weights = values.find((value) => constantOf(value))
  return weights ? no('is constant', weights) : true
}

function settings(node: Node): {
  transA: number
  transB: number
  alpha: number
  transBatchA: number
  transBatchB: number
} {
  const flag = (name: string): number => node.int(name, 0)
  return {
    transA: flag('transA'),
    transB: flag('transB'),
    transBatchA: flag('transBatchA'),
    transBatchB: flag('transBatchB'),
    alpha: node.float('alpha', 1),
  }
}

/** A Transpose of nothing but the last two of at least two dimensions. */
const swapsLast = {
  perm: (node: Node) => {
    const perm = node.ints('perm')
    if (!perm || perm.length < 2) return no('reverses its dimensions', node)
    const last = perm.length - 1
    const fits = perm.every((axis, i) => axis === (i === last ? last - 1 : i === last - 1 ? last : i))
    return fits || no(`has the perm [${perm}], not a swap of the last two dimensions`, node)
  },
}

export const matmulTranspose: Rule = rule({
  name: 'matmul-transpose',
  doc: 'MatMul(Transpose(a), b) -> FusedMatMul with transA, and likewise b',
  emits: EMITS,
  match: ({ op, oneOf, any, either }) =>
    oneOf(
      PRODUCTS,
      either('first', { transposed: op.Transpose(any('a'), swapsLast), plain: any('a') }),
      either('second', { transposed: op.Transpose(any('b'), swapsLast), plain: any('b') }),
    ),
  check: ({ a, b, first, second, node }) => {
    if (first === 'plain' && second === 'plain') return no('has no input with its last two dimensions swapped', node)
    const { transA, transB, transBatchA, transBatchB } = settings(node)
    if (transBatchA || transBatchB) return no('is transposed in another way already', node)
    const flags = { transA: first === 'plain' ? transA : 1 - transA, transB: second === 'plain' ? transB : 1 - transB }
    const computed = isComputed(a, b)
    return computed === true ? flags : computed
  },
  replace: ({ emit, a, b, node, transA, transB }) => emit(a, b, { ...settings(node), transA, transB }),
})

export const matmulScale: Rule = rule({
  name: 'matmul-scale',
  doc: 'constant * MatMul(constant * a, constant * b) -> FusedMatMul with alpha',
  emits: EMITS,
  match: ({ oneOf, any, scalar, product, either }) => {
    const plain = oneOf(PRODUCTS, any('a'), any('b')).as('matmul')
    return either({
      output: product(plain, scalar('scale')),
      first: oneOf(PRODUCTS, product(any('a'), scalar('scale')), any('b')).as('matmul'),
      second: oneOf(PRODUCTS, any('a'), product(any('b'), scalar('scale'))).as('matmul'),
    })
  },
  check: ({ a, b }) => isComputed(a, b),
  replace: ({ emit, a, b, matmul, scale }) => {
    const old = settings(matmul.producer!)
    return emit(a, b, { ...old, alpha: old.alpha * scale })
  },
})
