import type { Node } from '../../graph/node.ts'
import type { Dim } from '../../graph/types.ts'
import type { Value } from '../../graph/value.ts'
import { type Failure, no, type Rule, rule, sameDim } from '../../rewrite/index.ts'

/** Gemm's third input may be smaller than the product, never larger. */
function fitsProduct(c: Value, rows: Dim | undefined, columns: Dim | undefined): true | Failure {
  const { shape } = c
  if (!shape || shape.length > 2) return no('is not known to be of rank 2 or less', c)
  const [m, n] = shape.length === 2 ? shape : [1, shape[0] ?? 1]
  const fits = (m === 1 || sameDim(m, rows)) && (n === 1 || sameDim(n, columns))
  return fits || no(`has the shape [${shape}], not known to fit the product [${rows ?? null},${columns ?? null}]`, c)
}

export const matmulAdd: Rule = rule({
  name: 'matmul-add',
  doc: 'MatMul of matrices + c -> Gemm',
  match: ({ op, any }) => op.Add(op.MatMul(any('a'), any('b')), any('c')),
  check: ({ a, b, c, opset }) => {
    if (a.rank !== 2 || b.rank !== 2) return no('is not known to be a matrix', a.rank === 2 ? b : a)
    if (!a.isFloat || opset < 7) return no('can not go into a Gemm', a)
    return fitsProduct(c, a.shape![0], b.shape![1])
  },
  replace: ({ op, a, b, c }) => op.Gemm(a, b, c),
})

export const gemmSum: Rule = rule({
  name: 'gemm-sum',
  doc: 'Gemm without C + c -> Gemm',
  match: ({ oneOf, op, any }) => oneOf(['Sum', 'Add'], op.Gemm(any('a'), any('b')).as('gemm'), any('c')),
  check: ({ a, b, c, gemm, opset }) => {
    if (opset < 7) return no('does not broadcast in this opset', gemm)
    const { transA, transB } = transposes(gemm.producer!)
    return fitsProduct(c, a.shape?.at(transA ? 1 : 0), b.shape?.at(transB ? 0 : 1))
  },
  replace: ({ op, a, b, c, gemm }) => op.Gemm(a, b, c, { ...Object.fromEntries(gemm.producer!.attributes), beta: 1 }),
})

function transposes(gemm: Node): { transA: number; transB: number } {
  return { transA: gemm.int('transA', 0), transB: gemm.int('transB', 0) }
}

/** A Transpose that swaps rows and columns; without `perm` it reverses all dimensions, which is the same for matrices. */
const swaps = {
  perm: (node: Node) => (node.ints('perm') ?? [1, 0]).join() === '1,0' || no('does not swap rows and columns', node),
}

export const gemmTransposedInput: Rule = rule({
  name: 'gemm-transposed-input',
  doc: 'Gemm(Transpose(a), b) -> Gemm(a, b) with transA, and likewise b',
  match: ({ op, any, rest, either }) =>
    op.Gemm(
      either('first', { transposed: op.Transpose(any('a'), swaps).shared(), plain: any('a') }),
      either('second', { transposed: op.Transpose(any('b'), swaps).shared(), plain: any('b') }),
      rest(),
    ),
  check: ({ first, second, node }) => {
    if (first === 'plain' && second === 'plain') return no('has no transposed input', node)
    const { transA, transB } = transposes(node)
    return { transA: first === 'plain' ? transA : 1 - transA, transB: second === 'plain' ? transB : 1 - transB }
  },
  replace: ({ op, a, b, node, transA, transB }) =>
    op.Gemm(a, b, node.input(2), { ...Object.fromEntries(node.attributes), transA, transB }),
})

export const gemmTransposedOutput: Rule = rule({
  name: 'gemm-transposed-output',
  doc: 'Transpose(Gemm(a, b)) -> Gemm(b, a) with both transposed',
  match: ({ op, any }) => op.Transpose(op.Gemm(any('a'), any('b')).as('gemm'), swaps),
  replace: ({ op, a, b, gemm }) => {
    const { transA, transB } = transposes(gemm.producer!)
    return op.Gemm(b, a, { ...Object.fromEntries(gemm.producer!.attributes), transA: 1 - transB, transB: 1 - transA })
  },
})
