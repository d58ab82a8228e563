import type { Value } from '../../../graph/value.ts'
import { type Build, no, type Rule, rule } from '../../../rewrite/index.ts'
import { isInAttention } from './sizes.ts'

/** The products of an attention that are written as Einsum, with MatMul: then they are found as all others. */
export const einsum: Rule = rule({
  name: 'einsum-product',
  doc: 'Einsum of two operands that is a product of matrices -> MatMul between Transposes',
  match: ({ op, any }) => op.Einsum(any('left'), any('right')),
  check: ({ left, right, node, root }) => {
    const [inputs, output] = (node.string('equation') ?? '').replaceAll(' ', '').split('->')
    const [a, b] = (inputs ?? '').split(',')
    if (!a || !b || !output || !/^[a-zA-Z]+$/.test(a + b + output)) return no('has an equation with dots', node)
    const isPlain = [a, b, output].every((labels) => new Set(labels).size === labels.length)
    const batch = [...output].filter((label) => a.includes(label) && b.includes(label))
    const summed = [...a].filter((label) => b.includes(label) && !output.includes(label))
    const rows = [...a].filter((label) => !b.includes(label))
    const columns = [...b].filter((label) => !a.includes(label))
    const isProduct = summed.length === 1 && rows.length === 1 && columns.length === 1 && batch.length > 0
    if (!isPlain || !isProduct || output.length !== batch.length + 2) return no('is no product of matrices', node)
    if (left.rank !== a.length || right.rank !== b.length || !isInAttention(root))
      return no('is no product of an attention', node)
    // The operand that has the rows of the result goes first.
    return output.indexOf(rows[0]!) < output.indexOf(columns[0]!)
      ? { first: left, second: right, a, b, output, batch, summed, rows, columns }
      : { first: right, second: left, a: b, b: a, output, batch, summed, rows: columns, columns: rows }
  },
  replace: (match) => {
    const { op, first, second, a, b, output, batch, summed, rows, columns } = match
    const product = op.MatMul(
      ordered(match, first, a, [...batch, ...rows, ...summed]),
      ordered(match, second, b, [...batch, ...summed, ...columns]),
    )
    return ordered(match, product, [...batch, ...rows, ...columns].join(''), [...output])
  },
})

/** A value whose axes have these labels, in another order. */
function ordered({ op }: Build, value: Value, labels: string, wanted: readonly string[]): Value {
  const perm = wanted.map((label) => labels.indexOf(label))
  return perm.every((axis, i) => axis === i) ? value : op.Transpose(value, { perm })
}
