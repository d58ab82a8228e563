import { constantOf, integersOf, no, type Rule, rule } from '../../../rewrite/index.ts'

/** Projections with weights [hidden, heads, size] or [heads, size, hidden], as Keras has them: plain products, which other rules know. */
export const einsumProjection: Rule = rule({
  name: 'einsum-projection',
  doc: 'Einsum of a value and weights (abc,cde->abde; abcd,cde->abe) -> MatMul between Reshapes',
  match: ({ op, any, constant }) => op.Einsum(any('x'), constant('w')),
  check: ({ x, w, node }) => {
    const [inputs, output] = (node.string('equation') ?? '').replaceAll(' ', '').split('->')
    const [a, b] = (inputs ?? '').split(',')
    if (!a || !b || !output || !/^[a-zA-Z]+$/.test(a + b + output)) return no('has an equation with dots', node)
    const weights = constantOf(w)!
    const rows = [...a].filter((label) => !b.includes(label)).join('')
    const summed = [...a].filter((label) => b.includes(label)).join('')
    const columns = [...b].filter((label) => !a.includes(label)).join('')
    const isProduct = rows && summed && columns && a === rows + summed && b === summed + columns
    if (!isProduct || output !== rows + columns) return no('is no projection of the last axes', node)
    if (
      new Set(a + columns).size !== a.length + columns.length ||
      x.rank !== a.length ||
      weights.dims.length !== b.length
    )
      return no('has other axes than its equation', node)
    const sizes = weights.dims.slice(summed.length)
    const product = (list: readonly number[]): number => list.reduce((all, size) => all * size, 1)
    return { weights, rows, summed, sizes, inner: product(weights.dims.slice(0, summed.length)), outer: product(sizes) }
  },
  replace: ({ op, constant, x, w, weights, rows, summed, sizes, inner, outer }) => {
    const kept = [...rows].map(() => 0)
    const wide = summed.length > 1 ? op.Reshape(x, [...kept, inner]) : x
    const result = op.MatMul(wide, constant(weights.reshaped([inner, outer]), w.name))
    return sizes.length > 1 ? op.Reshape(result, [...kept, ...sizes]) : result
  },
})

/** A bias [heads, size], added once the heads are parted. */
export const partedBias: Rule = rule({
  name: 'parted-bias',
  doc: 'Reshape(x, [0, 0, heads, size]) + bias[heads, size] -> Reshape(x + bias)',
  match: ({ op, any, constant }) => op.Add(op.Reshape(any('x'), constant('shape')), constant('bias')),
  check: ({ x, shape, bias, root }) => {
    const [sizes, tensor] = [integersOf(shape), constantOf(bias)!]
    const { dims } = tensor
    const rank = (x.rank ?? 0) - 1
    const isParted =
      dims.length > 1 && sizes?.length === rank + dims.length && sizes.slice(0, rank).every((size) => size === 0)
    const fits = isParted && sizes.slice(rank).every((size, i) => size === dims[i])
    return fits && x.shape?.at(-1) === tensor.elementCount
      ? { sizes, tensor }
      : no('is no bias of parted columns', root)
  },
  replace: ({ op, constant, x, bias, sizes, tensor }) =>
    op.Reshape(op.Add(x, constant(tensor.reshaped([tensor.elementCount]), bias.name)), sizes),
})
