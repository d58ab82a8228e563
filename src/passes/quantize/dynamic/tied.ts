import { withFloats } from '../../../graph/float-data.ts'
import type { Node } from '../../../graph/node.ts'
import type { Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import type { ByteReader } from '../../../kernels/index.ts'
import { findWeight, type Weight } from '../weight.ts'

/** Tables that are read by rows and multiplied by, transposed. */
export interface Ties {
  /** Such tables: quantized once, by rows, for both. */
  tables: ReadonlySet<Value>
  /** Matrices that are a transposed copy of such a table, as exporters write tied weights. */
  copies: ReadonlyMap<Value, Weight>
}

/**
 * Finds tied embeddings among the nodes that will be quantized.
 *
 * @param compare whether to look for copies: reads both tensors where their shapes fit
 */
export function findTies(candidates: Iterable<Node>, compare: boolean): Ties {
  const gathered = new Map<Value, Weight>()
  const multiplied = new Map<Value, { weight: Weight; transposed: boolean }>()
  for (const node of candidates) {
    if (node.is('Gather')) {
      const weight = findWeight(node.input(0))
      if (weight && !weight.transposed && weight.tensor.dims.length === 2 && node.int('axis', 0) === 0)
        gathered.set(weight.root, weight)
    } else if (node.is('MatMul') || node.is('Gemm')) {
      const weight = findWeight(node.input(1))
      if (weight)
        multiplied.set(weight.root, {
          weight,
          transposed: weight.transposed !== (node.is('Gemm') && node.int('transB', 0) !== 0),
        })
    }
  }
  const tables = new Set([...gathered.keys()].filter((root) => multiplied.get(root)?.transposed))
  const copies = new Map<Value, Weight>()
  if (compare)
    for (const [root, { weight, transposed }] of multiplied)
      for (const table of gathered.values()) {
        if (transposed || weight.transposed || root.isOutput || !isTransposed(table.tensor, weight.tensor)) continue
        tables.add(table.root)
        copies.set(root, { ...table, dtype: weight.dtype, transposed: true })
      }
  return { tables, copies }
}

/** Rows that are compared at a time. */
const BAND = 256

/** True if `copy` [K, N] holds the elements of `table` [N, K]. Two float32 tensors; others are never taken for equal. */
function isTransposed(table: Tensor, copy: Tensor): boolean {
  const [rows, columns] = table.dims as [number, number]
  if (table.dtype !== 'float32' || copy.dtype !== 'float32') return false
  if (copy.dims.length !== 2 || copy.dims[0] !== columns || copy.dims[1] !== rows || rows * columns === 0) return false
  return withFloats(table, (a) =>
    withFloats(copy, (b) => {
      for (let from = 0; from < rows; from += BAND) {
        const count = Math.min(BAND, rows - from)
        const band = part(a.bytes, from * columns, count * columns)
        for (let column = 0; column < columns; column++) {
          const other = part(b.bytes, column * rows + from, count)
          for (let i = 0; i < count; i++) if (other[i] !== band[i * columns + column]) return false
        }
      }
      return true
    }),
  )
}

/** `length` elements from `start` on, as bit patterns. */
function part(bytes: Uint8Array | ByteReader, start: number, length: number): Uint32Array {
  const words = new Uint32Array(length)
  const target = new Uint8Array(words.buffer)
  if (bytes instanceof Uint8Array) target.set(bytes.subarray(start * 4, (start + length) * 4))
  else bytes.read(target, start * 4)
  return words
}
