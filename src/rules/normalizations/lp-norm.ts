import { no, type Rule, rule, sameShape } from '../../rewrite/index.ts'
import { reducedAxis } from '../reduction.ts'

/** Least norms above this would change results of rows that are not zero. */
const LARGEST_FLOOR = 1.0001e-12

/**
 * A row by its length, as `torch.nn.functional.normalize` is exported. The operator has no least norm: rows of zeros stay zeros in both, and
 * only rows shorter than the least norm, of at most 1e-12, differ.
 */
export const lpNorm: Rule = rule({
  name: 'lp-norm',
  doc: 'x / max(|x|, 1e-12) over the last axis -> LpNormalization',
  emits: ['LpNormalization'],
  match: ({ op, any, rest, scalar, either, absent }) => {
    const x = any('x')
    const square = either({ pow: op.Pow(x, 2), product: op.Mul(x, x) })
    const norm = either({
      whole: op.ReduceL2(x, rest()).as('reduced'),
      squares: op.Sqrt(op.ReduceSumSquare(x, rest()).as('reduced')),
      sum: op.Sqrt(op.ReduceSum(square, rest()).as('reduced')),
    })
    const bounded = either({
      clip: op.Clip(norm, scalar('floor'), absent()),
      max: op.Max(norm, scalar('floor')),
    })
    return op.Div(x, either({ expanded: op.Expand(bounded, any('shape')), bounded }))
  },
  check: ({ x, reduced, floor, shape, root }) => {
    if (x.dtype !== 'float32' && x.dtype !== 'float64') return no('is not float32 or float64', x)
    const axis = reducedAxis(reduced.producer!, x.rank)
    if (typeof axis !== 'number') return axis
    if (axis !== -1) return no('is not over the last axis', reduced)
    if (!(floor > 0 && floor <= LARGEST_FLOOR)) return no(`has the least norm ${floor}, not 1e-12 or less`, root)
    const isOwn = !shape || (shape.producer?.is('Shape') && shape.producer.input(0) === x)
    return isOwn || sameShape(root.shape, x.shape) || no('is expanded to another shape', shape)
  },
  replace: ({ emit, x }) => emit(x, { axis: -1, p: 2 }),
})
