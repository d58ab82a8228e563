import type { Node } from '../../graph/node.ts'
import { Tensor } from '../../graph/tensor.ts'
import type { Value } from '../../graph/value.ts'
import { codeOf } from '../../onnx/dtypes.ts'
import { constantOf, integersFrom, no, numberOf, type Rule, rule, sameDim, uniformNumber } from '../../rewrite/index.ts'

/** A table and the rows to take of it. */
interface Lookup {
  table: Value
  ids: Value
}

/**
 * The sum of two or three embeddings and its norm. Which is word, position and segment makes no difference to the sum: only
 * positions may be shared by the batch, or be 0, 1, 2, ... and then need not be given.
 */
export const embedLayerNorm: Rule = rule({
  name: 'embed-layer-norm',
  doc: 'LayerNormalization(word[ids] + position[0, 1, ...] + segment[ids]) -> EmbedLayerNormalization',
  emits: ['com.microsoft:EmbedLayerNormalization'],
  match: ({ op, any, constant, either, sum }) => {
    const [first, second, third] = ['a', 'b', 'c'].map((name) => op.Gather(any(), any(), { axis: 0 }).as(name))
    const rows = constant('rows')
    const embeddings = either({
      three: sum(first!, second!, third!),
      two: op.Add(first!, second!),
      fixed: sum(first!, second!, rows),
    })
    return op.LayerNormalization(embeddings.as('sum').replaced(), any('gamma'), any('beta'), { axis: lastAxis })
  },
  check: (match) => {
    const { a, b, c, rows } = match as unknown as Record<'a' | 'b' | 'c' | 'rows', Value | undefined>
    const lookups = [a, b, c].flatMap((value) => (value?.producer ? [lookupOf(value.producer)] : []))
    if (!match.sum.isFloat || match.sum.rank !== 3) return no('is no sequence of embeddings', match.sum)
    for (const { table, ids } of lookups) {
      if (constantOf(table)?.dims.length !== 2) return no('is no table', table)
      if (ids.rank !== 2) return no('has no rows and columns', ids)
    }
    // Two lookups with computed positions are one sum and one norm: SkipLayerNormalization needs no ids of another type.
    const isSimple = lookups.length === 2 && !rows && !match.isReadOutside(match.sum)
    if (isSimple && !lookups.some(({ ids }) => counts(ids)) && lookups.some(({ ids }) => !ids.isInput))
      return no('is a sum like any other', match.sum)
    if (rows) {
      const table = positionTable(rows, match.sum)
      if (!table) return no('is not one row for each position', rows)
      const [word, segment] = lookups
      if (lookups.some(({ ids }) => !isWhole(ids, match.sum)))
        return no('has no ids for every row of the batch', match.sum)
      return { word: word!, position: undefined, segment, table, isCounted: true }
    }
    const roles = rolesOf(lookups, match.sum)
    return roles ?? no('has no ids for every row of the batch', match.sum)
  },
  replace: ({
    create,
    op,
    constant,
    word,
    position,
    segment,
    table,
    isCounted,
    gamma,
    beta,
    node,
    sum,
    isReadOutside,
  }) => {
    const short = (ids: Value): Value => (ids.dtype === 'int32' ? ids : op.Cast(ids, { to: codeOf('int32') }))
    const [normalized, , total] = create({
      op: 'com.microsoft:EmbedLayerNormalization',
      inputs: [
        short(word.ids),
        segment && short(segment.ids),
        word.table,
        table ? constant(table, 'positions') : position!.table,
        segment?.table,
        gamma,
        beta,
        null,
        isCounted ? null : short(position!.ids),
      ],
      attributes: { epsilon: node.float('epsilon', 1e-5) },
      outputs: [true, true, isReadOutside(sum)],
    })
    return total ? { root: normalized!, sum: total } : { root: normalized! }
  },
})

function lastAxis(node: Node): boolean {
  return [-1, 2].includes(node.int('axis', -1))
}

function lookupOf(gather: Node): Lookup {
  return { table: gather.input(0)!, ids: gather.input(1)! }
}

interface Roles {
  word: Lookup
  /** Undefined where `table` has its rows in order. */
  position: Lookup | undefined
  segment: Lookup | undefined
  table: Tensor | undefined
  /** True where positions are 0, 1, 2, ... and need not be given. */
  isCounted: boolean
}

function isWhole(ids: Value, sum: Value): boolean {
  return sameDim(ids.shape?.[0], sum.shape![0]) && sameDim(ids.shape?.[1], sum.shape![1])
}

/** Rows that are the same for each sequence of a batch, as a table: [length, width]. */
function positionTable(rows: Value, sum: Value): Tensor | undefined {
  const tensor = constantOf(rows)
  const [batch, length, width] = [1, 1, ...(tensor?.dims ?? [])].slice(-3)
  if (!tensor?.dtype || tensor.dtype !== sum.dtype || length !== sum.shape![1] || width !== sum.shape![2])
    return undefined
  const bytes = tensor.bytes()
  const step = bytes.length / batch!
  for (let i = 1; i < batch!; i++)
    if (Buffer.compare(bytes.subarray(0, step), bytes.subarray(i * step, (i + 1) * step))) return undefined
  return Tensor.of(tensor.dtype, [length!, width!], bytes.subarray(0, step))
}

function rolesOf(lookups: readonly Lookup[], sum: Value): Roles | undefined {
  const length = sum.shape![1]
  const counted = lookups.find(({ ids }) => counts(ids))
  const position = counted ?? lookups.find(({ ids }) => !isWhole(ids, sum)) ?? lookups.at(-1)!
  const fits = sameDim(position.ids.shape?.[1], length) && (isWhole(position.ids, sum) || position.ids.shape?.[0] === 1)
  const [word, segment] = lookups.filter((lookup) => lookup !== position)
  if (!word || !isWhole(word.ids, sum) || (segment && !isWhole(segment.ids, sum)) || (!counted && !fits))
    return undefined
  return { word, position, segment, table: undefined, isCounted: counted !== undefined }
}

/** True for [1, length] ids 0, 1, 2, ...: a slice of such a constant from its start, or a Range. */
function counts(ids: Value): boolean {
  if (ids.shape?.[0] !== 1) return false
  const node = ids.producer
  if (!node) return isCount(ids)
  if (node.is('Unsqueeze') || node.is('Cast') || node.is('Reshape')) return countsAlong(node.input(0)!)
  return countsAlong(ids)
}

function countsAlong(ids: Value): boolean {
  const node = ids.producer
  if (node?.is('Cast')) return countsAlong(node.input(0)!)
  if (node?.is('Range')) return numberOf(node.input(0)) === 0 && numberOf(node.input(2)) === 1
  if (!node?.is('Slice')) return isCount(ids)
  const start = integersFrom(node, 'starts', 1)
  const axes = integersFrom(node, 'axes', 3)
  const steps = integersFrom(node, 'steps', 4)
  const isFromStart = start?.length === 1 && start[0] === 0 && (!steps || steps[0] === 1)
  return isFromStart && [1, -1].includes(axes?.[0] ?? 0) && isCount(node.input(0)!)
}

function isCount(ids: Value): boolean {
  const tensor = constantOf(ids)
  if (!tensor || tensor.elementCount > 1 << 16 || (tensor.elementCount > 1 && uniformNumber(tensor) !== undefined))
    return false
  return tensor.toNumbers().every((number, i) => number === i)
}
