import { withFloats } from '../../../graph/float-data.ts'
import type { Graph } from '../../../graph/graph.ts'
import type { Model } from '../../../graph/model.ts'
import type { Node } from '../../../graph/node.ts'
import { Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import {
  compare,
  dequantize,
  type FloatInput,
  type FloatType,
  quantizePerChannel,
  toFloat32,
} from '../../../kernels/index.ts'
import type { CalibrationData } from '../calibrate/data/index.ts'
import type { Range } from '../calibrate/methods/types.ts'
import { type Observer, observe } from '../calibrate/observe.ts'
import { dequantizeBlocks } from './blocks.ts'
import type { QuantizedConstant } from './constants.ts'
import { float8Codes, fromFloat8, isFloat8 } from './float8.ts'

/** What quantization costs one tensor, as signal to noise ratios in dB; null where nothing is lost. */
export interface TensorLoss {
  name: string
  /** The operator that gives it. */
  node?: string
  /** The quantized model's tensor before and after it was rounded to codes: what this rounding costs. */
  rounding: number | null
  /** The float model's tensor against the quantized one's: what was lost up to here. Not for weights. */
  total?: number | null
  maxDifference: number
}

export interface LossReport {
  samples: number
  /** The greatest loss by rounding first. */
  activations: TensorLoss[]
  weights: TensorLoss[]
}

interface Sums {
  name: string
  node: string | undefined
  signal: number
  rounding: number
  float: number
  total: number
  maxDifference: number
}

/** Measures what quantization loses, tensor by tensor. Opened before the model is changed, finished after. */
export class LossMeter {
  readonly #float: Observer
  readonly #threads: number

  private constructor(float: Observer, threads: number) {
    this.#float = float
    this.#threads = threads
  }

  /** @param values of the float model, to be compared by name; those of bodies too */
  static async open(model: Model, values: readonly Value[], threads: number): Promise<LossMeter> {
    return new LossMeter(await observe(model, values, { threads, rounds: true }), threads)
  }

  /**
   * Runs both models on the same samples, one at a time.
   *
   * @param names of values before their QuantizeLinear, as they are called in the float model
   * @param limits of values whose Relu or Clip is gone: what rounding does beyond them is no loss
   */
  async finish(
    model: Model,
    names: ReadonlyMap<Value, string>,
    limits: ReadonlyMap<Value, Range>,
    constants: Iterable<QuantizedConstant>,
    data: CalibrationData,
  ): Promise<LossReport> {
    const pairs = new Map<Value, { sums: Sums; isResult: boolean }>()
    for (const [value, name] of names) {
      const result = dequantizedOf(value)
      if (!result) continue
      const node = value.producer?.label
      const sums: Sums = { name, node, signal: 0, rounding: 0, float: 0, total: 0, maxDifference: 0 }
      pairs.set(value, { sums, isResult: false })
      pairs.set(result, { sums, isResult: true })
    }
    const quantized = await observe(model, [...pairs.keys()], { threads: this.#threads, rounds: true })
    let samples = 0
    try {
      for await (const feeds of data.open()) {
        const sample: CalibrationData = {
          async *open() {
            yield feeds
          },
        }
        // Bodies of two branches may use the same names.
        const float = new Map<Graph, Map<string, Tensor>>()
        await this.#float.run(sample, ({ graph }, tensor, _sample, name) => {
          const known = float.get(graph) ?? new Map<string, Tensor>()
          float.set(graph, known.set(name, tensor))
        })
        const before = new Map<Sums, Tensor>()
        await quantized.run(sample, (value, tensor) => {
          const { sums, isResult } = pairs.get(value)!
          if (!isResult) before.set(sums, clamped(tensor, limits.get(value)))
          else add(sums, float.get(value.graph)?.get(sums.name), before.get(sums), tensor)
        })
        samples++
      }
    } finally {
      await Promise.all([quantized.release(), this.#float.release()])
    }
    const activations = [...pairs.values()].flatMap(({ sums, isResult }) => (isResult ? [lossOf(sums)] : []))
    return {
      samples,
      activations: activations.sort(byLoss),
      weights: [...new Set(constants)].map(weightLoss).sort(byLoss),
    }
  }
}

function add(sums: Sums, float: Tensor | undefined, before: Tensor | undefined, after: Tensor): void {
  if (!before) return
  const rounding = compare(floatsOf(before), floatsOf(after))
  sums.signal += rounding.squaresA
  sums.rounding += rounding.squaresDifference
  if (float?.elementCount !== after.elementCount) return
  const total = compare(floatsOf(float), floatsOf(after))
  sums.float += total.squaresA
  sums.total += total.squaresDifference
  sums.maxDifference = Math.max(sums.maxDifference, total.maxDifference)
}

function lossOf({ name, node, signal, rounding, float, total, maxDifference }: Sums): TensorLoss {
  return {
    name,
    ...(node === undefined ? {} : { node }),
    rounding: decibels(signal, rounding),
    total: decibels(float, total),
    maxDifference,
  }
}

function weightLoss(constant: QuantizedConstant): TensorLoss {
  const { root, tensor, request, layout, scales } = constant
  return withFloats(tensor, (data) => {
    const found = constant.blocks
      ? dequantizeBlocks(constant)
      : isFloat8(request.type)
        ? float8Values(data, scales.scales[0]!)
        : dequantize(quantizePerChannel(data, layout, request.type, scales), request.type, layout, scales)
    const { sqnr, maxDifference } = compare(toFloat32(data), found)
    return { name: root.name, rounding: sqnr === Number.POSITIVE_INFINITY ? null : round(sqnr), maxDifference }
  })
}

function float8Values(data: FloatInput, scale: number): Float32Array {
  return Float32Array.from(float8Codes(toFloat32(data), scale), (code) => fromFloat8(code) * scale)
}

function clamped(tensor: Tensor, limits: Range | undefined): Tensor {
  if (!limits) return tensor
  const values = Float32Array.from(toFloat32(floatsOf(tensor)), (value) =>
    Math.max(limits.min, Math.min(limits.max, value)),
  )
  return Tensor.float32(tensor.dims, values)
}

/** What DequantizeLinear gives for a value that is quantized. */
function dequantizedOf(value: Value): Value | undefined {
  const reader = (of: Value, op: string): Node | undefined => of.users.find(({ opType }) => opType === op)
  const quantize = reader(value, 'QuantizeLinear')
  return quantize && reader(quantize.output(), 'DequantizeLinear')?.output()
}

function floatsOf(tensor: Tensor): { dtype: FloatType; bytes: Uint8Array } {
  return { dtype: tensor.dtype as FloatType, bytes: tensor.bytes() }
}

function byLoss(a: TensorLoss, b: TensorLoss): number {
  return (a.rounding ?? Number.POSITIVE_INFINITY) - (b.rounding ?? Number.POSITIVE_INFINITY) || 0
}

function decibels(signal: number, noise: number): number | null {
  return noise === 0 || signal === 0 ? null : round(10 * Math.log10(signal / noise))
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
