import { tensorType } from '../../graph/types.ts'
import type { Value } from '../../graph/value.ts'
import { type Build, Failure, INTERNAL_DOMAIN, no, type Rule, rule } from '../../rewrite/index.ts'
import { leavesOf, sizeOf } from './atoms.ts'
import { biasOf } from './bias.ts'
import { layoutOf, type Operand } from './layout.ts'
import { isDisentangled, type Path, pathOf, type Step } from './scores.ts'
import { arrange } from './view.ts'

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
    const softmax = op.Softmax(any('scores')).as('softmax')
    const rows = maybe(['Cast', 'Dropout'], softmax)
    const probabilities = either('form', {
      guarded: maybe(['Cast', 'Reshape'], op.Where(op.IsNaN(rows), 0, rows)),
      plain: maybe(['Cast', 'Reshape', 'Dropout'], softmax),
    })
    return op.MatMul(probabilities.as('probabilities'), any('value'))
  },
  check: ({ scores, softmax, probabilities, node, can }) => {
    if (!OPERATORS.some((op) => can(op)))
      return no(`would become ${OPERATORS.join(' or ')}, which the target can't run`, node)
    const axis = softmax.producer!.int('axis', -1)
    if (axis !== -1 && axis !== (scores.rank ?? 0) - 1) return no('normalises another axis than the last', softmax)
    const path = pathOf(scores)
    if (path instanceof Failure) return path
    path.steps.push(...reshapesBetween(softmax, probabilities))
    const picked = path.steps.find((step) => step.kind === 'add' && isDisentangled(step.term))
    if (picked?.kind === 'add') return no(`${DISENTANGLED}: it is left as it is`, picked.term)
    const reader = readOutside(path)
    if (reader) return reader
    const layout = layoutOf(path.product, path.steps, node)
    return layout instanceof Failure ? layout : { path, layout }
  },
  replace: (match) => {
    const { create, layout, path, form } = match
    const [query, key, value] = [layout.query, layout.key, layout.value].map((operand) => standing(match, operand))
    const { scale, softcap, bias } = biasOf(match, path, layout)
    const [attention] = create({
      op: SDPA,
      inputs: [query!.value, key!.value, value!.value, bias],
      attributes: { scale: scale * query!.factor * key!.factor, softcap, guard: form === 'guarded' ? 1 : 0 },
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
function standing(build: Build, { stages, batch, heads, length, size }: Operand): { value: Value; factor: number } {
  const unscaled = stages.filter(({ factor }) => factor === 1)
  const value = arrange(build, unscaled, [batch, heads, length, size])
  return { value, factor: stages.at(-1)!.factor }
}

/** Scores that something else reads too must be computed anyway: fusing would do it twice. */
function readOutside({ values }: Path): Failure | undefined {
  for (const value of values) {
    if (value.isOutput) return no('is also an output of the graph', value)
    const readers = value.users.filter((node) => !node.is('Shape'))
    if (readers.length > 1) return no(`is read by ${readers.map(({ label }) => label).join(' and ')}`, value)
  }
  return undefined
}
