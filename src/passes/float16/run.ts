import { inlineFunctions } from '../../graph/inline-functions.ts'
import type { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import { OnnxError } from '../../onnx/errors.ts'
import type { PassContext, PassResult } from '../pass.ts'
import { Conversion } from './apply.ts'
import { HalfConstants } from './constants.ts'
import type { Float16Options } from './index.ts'
import { type KeepIo, makePlan } from './plan.ts'
import { Prober } from './probe.ts'

/** Converts `model` to float16 in place. A model without float32 stays as it is. */
export async function run(model: Model, options: Float16Options, context: PassContext): Promise<PassResult> {
  const inlined = inlineFunctions(model)
  await context.ort.inferTypes(model, { scalars: false })
  const constants = new HalfConstants(options.overflow, context.note)
  const keep = keepIo(options)
  const plan = await makePlan(
    model,
    options,
    new Prober(model, context.device, float32Inputs(options)),
    constants,
    keep,
  )
  if (!plan.nodes.size) {
    context.note({ level: 'info', code: 'float16/nothing', message: 'nothing in this model computes in float32' })
    return { changes: inlined }
  }
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

/** `Resize:2` -> true for input 2 of all Resize nodes. */
function float32Inputs({ float32Inputs: list = [] }: Float16Options): (node: Node, index: number) => boolean {
  const indices = new Map<string, Set<number>>()
  for (const entry of list) {
    const [, op, index] = /^(.+):(\d+)$/.exec(entry) ?? []
    if (op === undefined)
      throw new OnnxError('OPTION_VALUE', `float32_inputs: '${entry}' is no operator with the index of an input`, {
        hint: 'Write for example GroupNorm:1.',
      })
    indices.set(op, (indices.get(op) ?? new Set()).add(Number(index)))
  }
  return (node, index) => [node.opType, node.qualifiedType].some((op) => indices.get(op)?.has(index) ?? false)
}
