import type { Node } from '../../../graph/node.ts'
import { tensorType } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import { integersOf, no, type Rule, rule } from '../../../rewrite/index.ts'

/** Queries, keys and values that lie side by side in each head: taken apart first, none needs its heads put first. */
export const partedHeads: Rule = rule({
  name: 'parted-heads',
  doc: 'parts of the last axis of transposed heads -> transposed parts',
  match: ({ oneOf, op, any, rest }) => oneOf(['Slice', 'Split'], op.Transpose(any('x')).as('turned').shared(), rest()),
  check: ({ node, turned }) => {
    const perm = turned.producer!.ints('perm')
    if (turned.rank !== 4 || perm?.[3] !== 3) return no('has another last axis after its Transpose', turned)
    const readers = turned.users.filter((reader) => !reader.is('Shape'))
    const other = readers.find((reader) => !takesParts(reader, turned))
    return other ? no('is read as a whole', other) : { perm, parts: node.outputs }
  },
  replace: ({ create, op, node, x, perm, parts }) => {
    const made = create({
      op: node.opType,
      inputs: [x, ...node.inputs.slice(1)],
      attributes: Object.fromEntries(node.attributes),
      outputs: parts.map((part) => part !== null),
    })
    return made.map((part, i) => {
      if (!part) return null
      const { dtype, shape } = parts[i]!
      part.type = tensorType(
        dtype,
        shape?.map((_, axis) => shape[perm.indexOf(axis)]!),
      )
      return op.Transpose(part, { perm })
    })
  },
})

/** True for a Slice or Split of the last of four axes alone. */
function takesParts(node: Node, value: Value): boolean {
  if (node.input(0) !== value) return false
  if (node.is('Split')) return [3, -1].includes(node.int('axis', 0))
  const axes = node.ints('axes') ?? integersOf(node.input(3))
  return node.is('Slice') && axes?.length === 1 && [3, -1].includes(axes[0]!)
}
