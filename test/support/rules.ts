import { expect } from 'vitest'
import type { Graph } from '../../src/graph/graph.ts'
import { Model } from '../../src/graph/model.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import { type Dim, tensorType } from '../../src/graph/types.ts'
import type { Value } from '../../src/graph/value.ts'
import { type DType, isFloat } from '../../src/onnx/dtypes.ts'
import { createOrtService } from '../../src/ort/service.ts'
import { type Build, Builder } from '../../src/rewrite/build.ts'
import { type RewriteOptions, type RewriteResult, type Rule, rewrite } from '../../src/rewrite/index.ts'

/** What a test draws a graph with. */
export interface Sketch extends Build {
  graph: Graph
  input(name: string, dims: readonly Dim[], dtype?: DType): Value
  /** A constant with pseudo-random numbers about zero (`around` moves them), the same on every run. */
  weight(dims: readonly number[], options?: { dtype?: DType; around?: number; scale?: number }): Value
}

const ort = createOrtService()

/** Numbers in -1..1 that depend on the seed alone. */
export function noise(count: number, seed: number): number[] {
  let state = seed * 2654435761 + 12345
  return Array.from({ length: count }, () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5) | 0
    return ((state ^ (state >>> 13)) >>> 0) / 2 ** 31 - 1
  })
}

/** Draws a model; the values that `body` returns are its outputs. Every value gets its type. */
export async function draw(
  body: (sketch: Sketch) => Value | readonly Value[],
  options: { opset?: number; irVersion?: number } = {},
): Promise<Model> {
  const model = new Model({ opset: options.opset ?? 17, irVersion: options.irVersion ?? 8 })
  const { graph } = model
  const end = graph.insert({ op: 'Constant', inputs: [] })
  const builder = new Builder(end, {
    useDomain: (domain) => void (domain && model.useDomain(domain)),
    inFunction: false,
  })
  let seed = 0
  const outputs = body({
    graph,
    op: builder.op,
    ms: builder.ms,
    create: builder.create.bind(builder),
    constant: builder.constant.bind(builder),
    input: (name, dims, dtype = 'float32') => {
      model.names.reserve(name)
      return graph.addInput(name, tensorType(dtype, dims))
    },
    weight: (dims, { dtype = 'float32', around = 0, scale = 1 } = {}) => {
      const count = dims.reduce((product, dim) => product * dim, 1)
      return builder.constant(
        Tensor.from(
          dtype,
          dims,
          noise(count, ++seed).map((x) => around + x * scale),
        ),
        'weight',
      )
    },
  })
  for (const value of [outputs].flat() as Value[]) graph.addOutput(value)
  graph.remove(end)
  await ort.inferTypes(model)
  return model
}

/** Feeds with pseudo-random content for a model's inputs (0 and 1 for masks); symbolic dimensions get `sizes`, else 2. */
export function randomFeeds(model: Model, sizes: Readonly<Record<string, number>> = {}): Record<string, Tensor> {
  const feeds: Record<string, Tensor> = {}
  model.graph.inputs.forEach((value, i) => {
    const dims = (value.shape ?? []).map((dim) => (typeof dim === 'number' ? dim : (sizes[dim ?? ''] ?? 2)))
    const count = dims.reduce((product, dim) => product * dim, 1)
    const numbers = noise(count, 1000 + i).map((x) =>
      isFloat(value.dtype) ? 3 * x : Math.abs(Math.round(value.name.includes('mask') ? x : 3 * x)),
    )
    feeds[value.name] = Tensor.from(value.dtype!, dims, numbers)
  })
  return feeds
}

/** Runs a model without optimization on pseudo-random feeds. */
export function run(model: Model, sizes: Readonly<Record<string, number>> = {}): Promise<Record<string, Tensor>> {
  return ort.evaluate(model, randomFeeds(model, sizes))
}

/** Expects two results to agree in type, shape and numbers. `tolerance` is relative to the larger of 1 and the expected number. */
export function expectClose(
  actual: Readonly<Record<string, Tensor>>,
  expected: Readonly<Record<string, Tensor>>,
  tolerance: number,
): void {
  expect(Object.keys(actual)).toEqual(Object.keys(expected))
  for (const [name, tensor] of Object.entries(expected)) {
    const other = actual[name]!
    expect([other.dtype, ...other.dims]).toEqual([tensor.dtype, ...tensor.dims])
    const found = other.toNumbers()
    const worst = tensor.toNumbers().reduce((most, wanted, i) => {
      const error = Object.is(found[i], wanted) ? 0 : Math.abs(found[i]! - wanted) / Math.max(1, Math.abs(wanted))
      return Math.max(most, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error)
    }, 0)
    expect(worst).toBeLessThanOrEqual(tolerance)
  }
}

/** Operators of a model as `2 Mul, Erf`, sorted by name. */
export function opsOf(model: Model): string {
  return Object.entries(model.histogram())
    .map(([op, count]) => (count === 1 ? op : `${count} ${op}`))
    .join(', ')
}

/**
 * Expects rules to turn a model into one with these operators (as `opsOf` writes them) and the same results.
 */
export async function expectFusion(
  model: Model,
  rules: Rule | readonly Rule[],
  ops: string,
  options: RewriteOptions & { tolerance?: number; sizes?: Readonly<Record<string, number>> } = {},
): Promise<RewriteResult> {
  const expected = await run(model, options.sizes)
  const result = rewrite(model, [[rules].flat() as Rule[]], { strict: true, ...options })
  expect(opsOf(model), result.nearMisses.map(({ message }) => message).join('\n')).toBe(ops)
  expect(model.graph.sort()).toBe(false)
  expectClose(await run(model, options.sizes), expected, options.tolerance ?? 1e-5)
  return result
}

/** Expects rules to leave a model alone, for a reason that contains this text. */
export function expectRefusal(model: Model, rule: Rule, reason: string, options: RewriteOptions = {}): void {
  const before = opsOf(model)
  const { changes, nearMisses } = rewrite(model, [[rule]], { strict: true, ...options })
  expect(changes).toBe(0)
  expect(opsOf(model)).toBe(before)
  expect(nearMisses[0]?.message ?? 'nothing like it').toContain(reason)
}
