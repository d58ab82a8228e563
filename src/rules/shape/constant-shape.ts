import { constantOf, no, type Rule, rule, sameDim } from '../../rewrite/index.ts'

/**
 * The arithmetic that exporters put before a Reshape goes where the result's shape is known: sizes, copies of the input's
 * dimension at the same place (0), and at most one that follows from the rest (-1).
 */
export const constantShape: Rule = rule({
  name: 'constant-shape',
  doc: 'Reshape by a computed shape -> Reshape by a constant such as [0, 0, 12, 64]',
  match: ({ op, any }) => op.Reshape(any('x'), any('shape')),
  check: ({ x, shape, root, node }) => {
    if (constantOf(shape)) return no('is constant already', shape)
    if (node.int('allowzero', 0) || root.isOutput)
      return no(root.isOutput ? 'is an output of the graph' : 'allows zeros', root)
    if (!x.shape || !root.shape) return no('has an unknown rank', x.shape ? root : x)
    const sizes = root.shape.map((dim, i) => (typeof dim === 'number' ? dim : sameDim(dim, x.shape![i]) ? 0 : -1))
    if (root.shape.includes(0)) return no('has no elements', root)
    if (sizes.filter((size) => size === -1).length > 1)
      return no(`has the shape [${root.shape}], with several open sizes`, root)
    return { sizes }
  },
  replace: ({ op, x, sizes }) => op.Reshape(x, sizes),
})
