import { type Dim, tensorType } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import { type Build, Failure, INTERNAL_DOMAIN, no, type Rule, rule } from '../../../rewrite/index.ts'
import { arrange } from '../axes/arrange.ts'
import { leavesOf, sizeOf } from '../axes/atoms.ts'
import { biasOf } from './bias.ts'
import { layoutOf, type Operand } from './layout.ts'
import { type Path, pathOf, type Step } from './scores.ts'
import { isDisentangled } from './terms.ts'

/**
 * Scaled dot-product attention, the common ground of all families: query [B, N, S, h], key [B, K, T, h], value [B, K, T, v]
 * (N / K query heads in a row share one), bias? [B or 1, N or 1, S or 1, T or 1] -> [B, N, S, v]. `scale` multiplies q·kᵀ, `softcap` bounds it; with `guard` rows of NaN become zeros.
 */
export const SDPA: string = `${INTERNAL_DOMAIN}:SDPA`

/** How the near miss of such an attention begins. */
export const DISENTANGLED = 'adds positions that depend on query and key (disentangled attention)'

/** What an attention may become. */
const OPERATORS = ['com.microsoft:MultiHeadAttention', 'com.microsoft:Attention', 'Attention']

/** Every attention, however it is written, as one operator. */
export const sdpa: Rule = rule({
  name: 'attention',
  doc: 'Softmax(q * k^T * scale + mask) * v, heads and masks in any layout -> attention operator',
  match: ({ op, any, either, maybe }) => {
    const softmax = op.Softmax(any('scores')).as('softmax').shared()
    const rows = maybe(['Cast', 'Dropout'], softmax)
    const probabilities = either('form', {
      guarded: maybe(['Cast', 'Reshape'], op.Where(op.IsNaN(rows), 0, rows)),
      zeroed: maybe(['Cast', 'Reshape', 'Dropout'], op.Where(any('hidden'), 0, rows)),
      plain: maybe(['Cast', 'Reshape', 'Dropout'], softmax),
    })
    return op.MatMul(probabilities.as('probabilities'), any('value'))
  },
  check: ({ scores, softmax, probabilities, form, hidden, node, can, opset }) => {
    if (!OPERATORS.some((op) => can(op)))
      return no(`would become ${OPERATORS.join(' or ')}, which the target can't run`, node)
    const axis = softmax.producer!.int('axis', opset < 13 ? 1 : -1)
    if (axis !== -1 && axis !== (scores.rank ?? 0) - 1) return no('normalises another axis than the last', softmax)
    if (isDisentangled(scores)) return no(`${DISENTANGLED}: it is left as it is`, scores)
    const path = pathOf(scores)
    if (path instanceof Failure) return path
    if (form === 'zeroed' && !zeroes(path, hidden!)) return no('zeroes probabilities of scores that count', hidden)
    path.steps.push(...reshapesBetween(softmax, probabilities))
    const reader = readOutside(path, softmax)
    if (reader) return reader
    const layout = layoutOf(path.product, path.steps, node)
    return layout instanceof Failure ? layout : { path, layout }
  },
  replace: (match) => {
    const { create, layout, path, form } = match
    const [query, key, value] = [layout.query, layout.key, layout.value].map((operand) =>
      standing(match, operand, layout.numHeads),
    )
    const { scale, softcap, bias, rows } = biasOf(match, path, layout)
    const [attention] = create({
      op: SDPA,
      inputs: [rows ? match.op.Mul(query!.value, rows) : query!.value, key!.value, value!.value, bias],
      attributes: { scale: scale * query!.factor * key!.factor, softcap, guard: form === 'plain' ? 0 : 1 },
    })
    const { batch, heads, length, value: v, result } = layout
    const axes = [batch, heads, length, leavesOf(v.size)]
    attention!.type = tensorType(match.root.dtype, axes.map(sizeOf))
    return arrange(match, [{ value: attention!, axes, factor: 1 }], result)
  },
})

/** Reshapes of the probabilities, first to last. */
function reshapesBetween(softmax: Value, probabilities: Value): Step[] {
  const steps: Step[] = []
  for (let at = probabilities; at !== softmax; at = at.producer!.input(at.producer!.is('Where') ? 2 : 0)!)
    if (at.producer!.is('Reshape')) steps.unshift({ kind: 'reshape', to: at })
  return steps
}

/** An operand as [batch, heads, length, size], from before it was scaled. */
function standing(
  build: Build,
  { stages, batch, heads, length, size }: Operand,
  numHeads: number,
): { value: Value; factor: number } {
  const unscaled = stages.filter(({ factor }) => factor === 1)
  const axes = [batch, heads, length, size]
  const value = arrange(build, unscaled, axes)
  // The pieces may tell sizes that shapes leave open.
  const sizes = axes.map((axis, i): Dim => {
    const [own, known] = [value.shape?.[i], sizeOf(axis)]
    if (typeof own === 'number') return own
    return typeof known === 'number' ? known : i === 1 ? numHeads : (own ?? known)
  })
  value.type = tensorType(value.dtype, sizes)
  return { value, factor: stages.at(-1)!.factor }
}

/** Scores that something else reads too must be computed anyway: fusing would do it twice. */
function readOutside({ values, helpers }: Path, softmax: Value): Failure | undefined {
  for (const value of [...values, softmax]) {
    if (value.isOutput) return no('is also an output of the graph', value)
    const readers = value.users.filter((node) => !node.is('Shape') && !helpers.includes(node))
    // A guard against NaN reads the probabilities twice.
    if (readers.length > 1 && !(value === softmax && readers.every((node) => node.is('IsNaN') || node.is('Where'))))
      return no(`is read by ${readers.map(({ label }) => label).join(' and ')}`, value)
  }
  return undefined
}

/** True if the probabilities set to 0 are those of the scores hidden last; rows without any other are zeros then. */
function zeroes({ steps }: Path, hidden: Value): boolean {
  const at = steps.findLastIndex(({ kind }) => kind !== 'reshape')
  const step = steps[at]
  if (step?.kind !== 'where' || step.keeps || conditionOf(step.condition) !== conditionOf(hidden)) return false
  steps[at] = { ...step, isZeroed: true }
  return true
}

function conditionOf(value: Value): Value {
  const node = value.producer
  return node?.is('Cast') && node.input(0)?.dtype === value.dtype ? conditionOf(node.input(0)!) : value
}
