import { no, type Rule, rule } from '../../rewrite/index.ts'
import { reducedAxis } from '../reduction.ts'

/** As frameworks without an operator for it write it. Less its largest, a row has the same Softmax. */
export const softmax: Rule = rule({
  name: 'softmax',
  doc: 'exp(x - max(x)) / sum(exp(x - max(x))) -> Softmax',
  match: ({ op, any, rest, either }) => {
    const x = any('x')
    const shifted = op.Sub(x, op.ReduceMax(x, rest()).as('largest'))
    const powers = op.Exp(either({ shifted, plain: x }))
    return op.Div(powers, op.ReduceSum(powers, rest()).as('sum'))
  },
  check: ({ x, sum, largest, opset }) => {
    if (!x.isFloat) return no('is not a float tensor', x)
    const axis = reducedAxis(sum.producer!, x.rank)
    if (typeof axis !== 'number') return axis
    if (largest && reducedAxis(largest.producer!, x.rank) !== axis)
      return no('is over another axis than the sum', largest)
    // Before, the operator took all axes from one on.
    return opset >= 13 || axis === -1 ? { axis } : no('is not over the last axis', sum)
  },
  replace: ({ op, x, axis, opset }) => op.Softmax(x, { axis: opset < 13 ? x.rank! - 1 : axis }),
})
