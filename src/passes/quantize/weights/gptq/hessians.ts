import { int } from '../../../../graph/attributes.ts'
import { copyModel } from '../../../../graph/copy.ts'
import type { Model } from '../../../../graph/model.ts'
import type { Value } from '../../../../graph/value.ts'
import { codeOf } from '../../../../onnx/dtypes.ts'
import type { CalibrationData } from '../../calibrate/data/index.ts'
import { observe } from '../../calibrate/observe.ts'
import type { Products } from './products.ts'

/** An activation that a product reads, and the length of its last axis. */
export interface Source {
  value: Value
  length: number
}

/** What was seen of an activation. */
export interface Hessian {
  /** Sums of products of every two channels over all rows: a symmetric [length, length] matrix. */
  sums: Float32Array
  length: number
}

/** Bytes of all matrices that are summed up at a time; more of them take more runs of the model. */
const MOST_BYTES = 2 ** 29

/** Rows that are kept until they are multiplied: adding a matrix up takes as long as the product of this many rows. */
const KEPT_ROWS = 256

/**
 * Runs the model on data and sums `xᵀ x` of activations up, in ONNX Runtime; nothing but the sums is kept.
 *
 * @param use gets the matrices of a part of the activations, which are gone after that
 */
export async function forHessians(
  model: Model,
  sources: readonly Source[],
  data: CalibrationData,
  { threads, signal, products }: { threads: number; signal?: AbortSignal | undefined; products: Products },
  use: (hessians: ReadonlyMap<Value, Hessian>) => Promise<void>,
): Promise<void> {
  let at = 0
  while (at < sources.length) {
    const part: Source[] = []
    for (let bytes = 0; at < sources.length; at++) {
      bytes += sources[at]!.length ** 2 * 4
      if (part.length && bytes > MOST_BYTES) break
      part.push(sources[at]!)
    }
    const sums = new Map(part.map(({ value, length }) => [value, new Sum(length, products)]))
    await add(model, sums, data, { threads, signal })
    await use(new Map([...sums].map(([value, sum]) => [value, sum.hessian])))
  }
}

/** Adds up what the model gives on the data. */
async function add(
  model: Model,
  sums: ReadonlyMap<Value, Sum>,
  data: CalibrationData,
  options: { threads: number; signal: AbortSignal | undefined },
): Promise<void> {
  const { model: copy, values } = copyModel(model)
  const { graph } = copy
  const seen = new Map<Value, Sum>()
  for (const [value, sum] of sums) {
    const own = values.get(value)!
    const isFloat32 = own.dtype === 'float32'
    const attributes = { to: int(codeOf('float32')) }
    seen.set(isFloat32 ? own : graph.insert({ op: 'Cast', inputs: [own], attributes }).output(), sum)
  }
  const observer = await observe(copy, [...seen.keys()], options)
  try {
    // one sample at a time: what it gave is taken in before the next one is run
    for await (const feeds of data.open()) {
      const sample: CalibrationData = {
        async *open() {
          yield feeds
        },
      }
      await observer.run(sample, (value, tensor) => seen.get(value)!.take(tensor.float32()))
      for (const sum of seen.values()) await sum.settle()
    }
    for (const sum of seen.values()) await sum.settle(true)
  } finally {
    await observer.release()
  }
}

/** The matrix of one activation. */
class Sum {
  readonly hessian: Hessian
  readonly #products: Products
  #kept: Float32Array[] = []
  #rows = 0

  constructor(length: number, products: Products) {
    this.hessian = { sums: new Float32Array(length * length), length }
    this.#products = products
  }

  /** Takes rows; they are copied. */
  take(rows: Float32Array): void {
    this.#kept.push(rows.slice())
    this.#rows += rows.length / this.hessian.length
  }

  /** Multiplies what there is, if that is enough or all. */
  async settle(isAll = false): Promise<void> {
    if (this.#rows === 0 || (!isAll && this.#rows < KEPT_ROWS)) return
    const { length, sums } = this.hessian
    const rows = new Float32Array(this.#rows * length)
    let at = 0
    for (const part of this.#kept) {
      rows.set(part, at)
      at += part.length
    }
    this.#kept = []
    this.#rows = 0
    const found = await this.#products.gram(rows, length)
    for (let i = 0; i < sums.length; i++) sums[i]! += found[i]!
  }
}
