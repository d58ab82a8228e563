import { dirname, resolve } from 'node:path'
import { inlineFunctions } from '../../graph/inline-functions.ts'
import type { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import { roundsResults } from '../../measure/rounded.ts'
import { inferTypesOnGpu } from '../../measure/typing.ts'
import { OnnxError } from '../../onnx/errors.ts'
import type { PassContext, PassResult } from '../pass.ts'
import { Conversion } from './apply.ts'
import { HalfConstants } from './constants.ts'
import { type Float16Options, OLDEST_MIXED } from './index.ts'
import type { MixedReport } from './mixed/index.ts'
import { nodesOfParts } from './parts.ts'
import { type KeepIo, makePlan, type Plan } from './plan.ts'
import { Prober } from './probe.ts'
import { noteUnmatched } from './unmatched.ts'

/** Converts `model` to float16 in place. A model without float32 stays as it is. */
export async function run(model: Model, options: Float16Options, context: PassContext): Promise<PassResult> {
  const inlined = inlineFunctions(model)
  noteUnmatched(model, options, context.note)
  await inferTypesOnGpu(model, context.ort)
  const type = options.precision === 'bfloat16' ? 'bfloat16' : 'float16'
  const constants = new HalfConstants(options.overflow, type)
  const keep = keepIo(options)
  const prober = new Prober(model, context.device, float32Inputs(options), type)
  const parts = nodesOfParts(model, options.float32Parts ?? [])
  const planWith = (float32: Iterable<Node>): Promise<Plan> =>
    makePlan(model, options, prober, constants, keep, new Set([...parts, ...float32]))
  const plan = await planWith([])
  const tellOfConstants = (): void => constants.notes().forEach(context.note)
  if (!plan.nodes.size) {
    tellOfConstants()
    context.note({ level: 'info', code: 'float16/nothing', message: 'nothing in this model computes in float32' })
    return { changes: inlined }
  }
  const carryOut = (plan: Plan): PassResult => {
    tellOfConstants()
    return convert(model, plan, constants, keep)
  }
  if (options.precision === 'bfloat16') return carryOut(plan)
  if (options.precision === 'float16') {
    if (!options.rangeCheck || model.opset < OLDEST_MIXED) return carryOut(plan)
    const { findOverflow } = await import('./mixed/check.ts')
    const overflow = await findOverflow(model, plan, constants, options, context)
    if (!overflow) return carryOut(plan)
    context.note({
      level: 'info',
      code: 'mixed/range',
      message: `values up to ${overflow.magnitude.toPrecision(3)} do not fit a half, so precision=mixed it is`,
      node: overflow.node,
    })
  }
  const { findMixed } = await import('./mixed/index.ts')
  const mixed = await findMixed(model, plan, () => planWith([]), constants, options, context)
  if (!mixed) {
    // Bars that the user set are not met by a model that stays as it is.
    if (options.precision === 'mixed' || options.mixedValidate) throw neverPasses(options, context.file)
    context.note({
      level: 'warn',
      code: 'mixed/never-passes',
      message: 'no choice of nodes is good enough, not even float32 for all: the model stays float32',
    })
    return { changes: inlined }
  }
  try {
    const result = carryOut(await planWith(mixed.float32))
    if (!(await mixed.confirms(model)))
      context.note({
        level: 'warn',
        code: 'mixed/unconfirmed',
        message: roundsResults(context.device)
          ? 'the choice of nodes was good enough, but the model made from it is not'
          : 'rounding leaves the mixed model good enough, but the float16 kernels of this CPU do not',
      })
    context.note({ level: 'info', code: 'mixed/float32', message: summary(mixed.report, plan.nodes.size) })
    return { ...result, data: { ...(result.data as object), mixed: mixed.report } }
  } finally {
    mixed.close()
  }
}

function neverPasses({ mixedValidate }: Float16Options, file: string): OnnxError {
  return mixedValidate
    ? new OnnxError(
        'MIXED_NEVER_PASSES',
        'the function that validates outputs accepts none, not even those of float32 for all nodes',
        {
          place: { file: resolve(dirname(file), mixedValidate) },
          hint: 'It gets the outputs of the float32 model and of a candidate: it must return true for equal ones.',
        },
      )
    : new OnnxError('MIXED_NEVER_PASSES', 'no choice of nodes is good enough, not even float32 for all', {
        place: { file },
        hint: 'Halving inputs and large weights costs more already than the bars allow: loosen mixed_cosine, mixed_rtol or mixed_atol, or leave keep_io_types on.',
      })
}

function summary({ float32, rescaled, weights, picture, runs }: MixedReport, nodes: number): string {
  const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`
  return [
    float32.length
      ? `${count(float32.length, 'node')} of ${nodes} stay${float32.length === 1 ? 's' : ''} float32`
      : `none of ${count(nodes, 'node')} stays float32`,
    ...(weights.length ? [`and ${weights.length} for the sake of large weights`] : []),
    ...(rescaled.length ? [`${count(rescaled.length, 'value')} beyond the half range rescaled`] : []),
    `found in ${count(runs, 'run')}${float32.length ? `: ${picture}` : ''}`,
  ].join(', ')
}

/** Carries a plan out. */
function convert(model: Model, plan: Plan, constants: HalfConstants, keep: KeepIo): PassResult {
  // A search may have left nothing to convert.
  if (!plan.nodes.size) return { changes: 0, data: { nodes: 0, casts: 0, float32Ops: {} } }
  const conversion = new Conversion(model, plan, constants, keep)
  const float = [...model.graph.allNodes()].filter(
    (node) => !plan.nodes.has(node) && node.outputs.some((value) => value?.dtype === 'float32'),
  )
  const float32Ops: Record<string, number> = {}
  for (const { qualifiedType, opType } of float)
    if (opType !== 'Constant') float32Ops[qualifiedType] = (float32Ops[qualifiedType] ?? 0) + 1
  conversion.run()
  return {
    changes: plan.nodes.size + conversion.casts,
    data: { nodes: plan.nodes.size, casts: conversion.casts, float32Ops },
  }
}

function keepIo({ keepIoTypes, keepIo: names = [] }: Float16Options): KeepIo {
  const kept = new Set(names)
  return (name) => keepIoTypes || kept.has(name)
}

/** Kernels that read scale and shift as float32, though the operator may have them in float16: GroupNorm of CUDA. */
const READ_AS_FLOAT: readonly string[] = ['GroupNorm:1', 'GroupNorm:2', 'SkipGroupNorm:1', 'SkipGroupNorm:2']

/** `Resize:2` -> true for input 2 of all Resize nodes. */
function float32Inputs({ float32Inputs: list = [] }: Float16Options): (node: Node, index: number) => boolean {
  const indices = new Map<string, Set<number>>()
  for (const entry of [...READ_AS_FLOAT, ...list]) {
    const [, op, index] = /^(.+):(\d+)$/.exec(entry) ?? []
    if (op === undefined)
      throw new OnnxError('OPTION_VALUE', `float32_inputs: '${entry}' is no operator with the index of an input`, {
        hint: 'Write for example GroupNorm:1.',
      })
    indices.set(op, (indices.get(op) ?? new Set()).add(Number(index)))
  }
  return (node, index) => [node.opType, node.qualifiedType].some((op) => indices.get(op)?.has(index) ?? false)
}
