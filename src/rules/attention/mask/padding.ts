import type { Node } from '../../../graph/node.ts'
import type { Value } from '../../../graph/value.ts'
import { codeOf } from '../../../onnx/dtypes.ts'
import { type Build, no, type Rule, rule } from '../../../rewrite/index.ts'
import { Atom, leavesOf } from '../axes/atoms.ts'
import { SDPA } from '../sdpa/index.ts'
import { isTruth } from './content.ts'
import { elementAt, type Unknown } from './element.ts'

/**
 * An additive mask that is nothing but a padding mask [batch, total] seen by every row: the mask itself, which is smaller and needs
 * no arithmetic. Right for padding on either side and for holes.
 */
export const paddingMask: Rule = rule({
  name: 'padding-mask',
  doc: 'SDPA with (1 - mask) * -3.4e38 or the like added -> SDPA with the mask',
  match: ({ oneOf, any }) => oneOf(SDPA, any('query'), any('key'), any('value'), any('bias')),
  check: ({ bias }) => maskIn(bias) ?? no('is no padding mask alone', bias),
  replace: ({ op, create, query, key, value, mask, fill, node, root }) => {
    const raw = mask.dtype === 'int32' ? mask : op.Cast(mask, { to: codeOf('int32') })
    const [attention] = create({
      op: SDPA,
      inputs: [query, key, value, null, raw],
      attributes: { ...Object.fromEntries(node.attributes), mask_filter_value: fill },
    })
    attention!.type = root.type
    return attention!
  },
})

/** What stands for a padding mask [batch, total]: itself, its length, or its end and start. */
export const MASK_FORMS = { raw: 0, lengths: 1, ranges: 2 } as const

function maskForm(name: string, form: 'lengths' | 'ranges', doc: string): Rule {
  return rule({
    name,
    doc,
    match: ({ oneOf, any, absent }) =>
      oneOf(SDPA, any('query'), any('key'), any('value'), absent(), any('mask'), {
        form: (node) => !node.int('form') || no('has another form already', node),
      }),
    check: ({ opset, node }) =>
      form === 'lengths' || opset >= 12 || no('has no operator for ends before opset 12', node),
    replace: ({ create, query, key, value, mask, node, root }) => {
      const attributes = { ...Object.fromEntries(node.attributes), form: MASK_FORMS[form] }
      const [attention] = create({ op: SDPA, inputs: [query, key, value, null, mask], attributes })
      attention!.type = root.type
      return attention!
    },
  })
}

/** Number of visible keys instead of the mask: right where padding is at the end only. */
export const maskIndex: Rule = maskForm('mask-index', 'lengths', 'padding mask [batch, total] -> its lengths [batch]')

/** Right where padding is at the ends only. */
export const maskRange: Rule = maskForm(
  'mask-range',
  'ranges',
  'padding mask [batch, total] -> ends and starts [2 * batch]',
)

/** The mask as operators take it: [batch, total], or the lengths [batch] where they are wanted, or ends and starts [2 * batch] where the operator knows them. */
export function maskInput(
  build: Build & { opset: number },
  node: Node,
  mask: Value | undefined,
  knowsRanges = false,
): Value | undefined {
  const form = node.int('form', MASK_FORMS.raw)
  if (!mask || form === MASK_FORMS.raw || (form === MASK_FORMS.ranges && !knowsRanges)) return mask
  const { op, opset } = build
  if (form === MASK_FORMS.lengths)
    return opset < 13 ? op.ReduceSum(mask, { axes: [1], keepdims: 0 }) : op.ReduceSum(mask, [1], { keepdims: 0 })
  const last = op.ArgMax(mask, { axis: 1, keepdims: 0, select_last_index: 1 })
  const start = op.ArgMax(mask, { axis: 1, keepdims: 0 })
  return op.Cast(op.Concat(op.Add(last, 1), start, { axis: 0 }), { to: codeOf('int32') })
}

/** For models that are never fed padding. */
export const noMask: Rule = rule({
  name: 'mask-none',
  doc: 'padding mask of attention -> none',
  match: ({ oneOf, any, absent }) => oneOf(SDPA, any('query'), any('key'), any('value'), absent(), any('mask')),
  replace: ({ create, query, key, value, node, root }) => {
    const attributes = { ...Object.fromEntries(node.attributes), guard: 0 }
    const [attention] = create({ op: SDPA, inputs: [query, key, value], attributes })
    attention!.type = root.type
    return attention!
  },
})

/** The padding mask that decides alone what is added: nothing where it is 1, one large negative number where it is 0. */
function maskIn(bias: Value): { mask: Value; fill: number } | undefined {
  const { shape } = bias
  if (shape?.length !== 4 || shape[1] !== 1 || shape[3] === 1) return undefined
  const [batch, length, total] = [new Atom(shape[0]!), new Atom(shape[2]!), new Atom(shape[3]!)]
  const axes = [shape[0] === 1 ? [] : [batch], [], shape[2] === 1 ? [] : [length], [total]]
  const found: Unknown[] = []
  const [seen, hidden] = [1, 0].map((assumed) =>
    elementAt(bias, axes, (unknown) => {
      found.push(unknown)
      return assumed
    }),
  )
  const [mask] = found
  if (seen !== 0 || hidden === undefined || hidden > -1e4 || !mask || !isMask(mask, batch, total)) return undefined
  const same = found.every((other) => other.value === mask.value && isMask(other, batch, total))
  return same ? { mask: mask.value, fill: hidden } : undefined
}

/** Truth values [batch, total], or numbers that the caller gives. */
function isMask({ value, axes }: Unknown, batch: Atom, total: Atom): boolean {
  const [rows, keys] = axes.map((axis) => leavesOf(axis))
  const only = (found: readonly Atom[] | undefined, wanted: Atom): boolean => {
    const leaves = leavesOf([wanted])
    return found?.length === leaves.length && leaves.every((leaf, i) => leaf === found[i])
  }
  return isTruth(value) && axes.length === 2 && only(rows, batch) && only(keys, total)
}
