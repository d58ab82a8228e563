import type { Value } from '../../graph/value.ts'
import { no, type Rule, rule } from '../../rewrite/index.ts'

/** Sums, products and rows of values that were all transposed alike: one Transpose after them, which may cancel out with the next. */
export const transposeThrough: Rule = rule({
  name: 'transpose-through',
  doc: 'Add, Mul or Concat of values transposed alike -> Transpose of their Add, Mul or Concat',
  match: ({ oneOf, rest }) => oneOf(['Add', 'Mul', 'Concat'], rest()),
  check: ({ node, root }) => {
    const sources: Value[] = []
    const perms = new Set<string>()
    for (const input of node.inputs) {
      const perm = input?.producer?.is('Transpose') ? input.producer.ints('perm') : undefined
      if (!perm) return no('is not transposed', input ?? node)
      perms.add(perm.join())
      sources.push(input!.producer!.input(0)!)
    }
    if (perms.size > 1) return no('has inputs that are transposed in different ways', node)
    if (new Set(sources.map(({ rank }) => rank)).size > 1) return no('has inputs of different rank', node)
    // Else there would be more of them than before.
    if (!node.inputs.some((input) => input!.onlyUser === node))
      return no('has inputs that are needed as they are', root)
    return { sources, perm: node.input(0)!.producer!.ints('perm')! }
  },
  replace: ({ op, create, node, sources, perm }) => {
    const axis = node.is('Concat') ? perm.at(node.int('axis', 0)) : undefined
    const [result] = create({ op: node.opType, inputs: sources, attributes: { axis } })
    return op.Transpose(result!, { perm })
  },
})
