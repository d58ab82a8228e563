import type { Model } from '../../graph/model.ts'
import { OnnxError } from '../../onnx/errors.ts'
import { foldCase } from '../../params/case.ts'
import { nearest } from '../../params/nearest.ts'
import type { StepValue } from '../../params/spec.ts'
import { isModelDim } from '../../params/steps.ts'
import type { Context } from './context.ts'
import { type Flow, mismatch } from './flow.ts'
import { inputsOf, shown } from './model-input.ts'
import { steps } from './steps/index.ts'
import { type StepName, stepTable } from './table.ts'

/**
 * Runs the steps one after the other. Each takes what the one before gives, in order, and hands on what it does not take. An
 * `ioMap` puts outputs of earlier steps in place of single inputs; an output that one names goes to the next step and to those that
 * name it, and no further.
 */
export function chain(list: readonly StepValue[], start: readonly Flow[], context: Context): readonly Flow[] {
  return list.reduce<readonly Flow[]>((flows, value) => {
    const { step, name = step } = value
    const inputs = connected(value, flows, context)
    const given = steps[step as StepName](inputs, argumentsOf(value), context, step)
    const records = context.given.get(foldCase(name)) ?? []
    context.given.set(foldCase(name), [...records, { step: name, flows: given }])
    return given.filter((flow) => !inputs.includes(flow) || !isAwaited(flow, context))
  }, start)
}

/** Arguments of a step, defaults filled in. */
function argumentsOf({ step, ...given }: StepValue): Readonly<Record<string, unknown>> {
  const { params } = stepTable[step]!
  return Object.fromEntries(Object.entries(params).map(([key, spec]) => [key, given[key] ?? spec.default]))
}

/** Whether a flow is named by an `ioMap`. */
export function isAwaited(flow: Flow, { given, awaited }: Context): boolean {
  return [...given].some(([name, records]) =>
    records.some(({ flows }) => flows.some((one, i) => one === flow && awaited.has(`${name}:${i}`))),
  )
}

/** What a step gets: the output that it asks for first, and those of its `ioMap` where they go. */
function connected(value: StepValue, flows: readonly Flow[], context: Context): readonly Flow[] {
  const { step, ioMap = [], output } = value
  const chosen = typeof output === 'string' ? outputFirst(flows, output) : flows
  if (!ioMap.length) return chosen
  const inputs = [...chosen]
  for (const [from, index, at] of ioMap) {
    const records = context.given.get(foldCase(from)) ?? []
    if (records.length !== 1) {
      const names = [...context.given.values()].flat().map((record) => record.step)
      const near = nearest(from, names)
      throw mismatch(
        step,
        records.length
          ? `takes an output of '${from}', and ${records.length} steps are called so`
          : `takes an output of '${from}', and no step before it is called so`,
        records.length ? 'Give each a name: { Resize: { name: ... } }.' : near ? `Did you mean '${near}'?` : undefined,
      )
    }
    const { flows: outputs } = records[0]!
    const found = outputs[index]
    if (!found) throw mismatch(step, `takes output ${index} of '${from}', which has ${outputs.length}, counted from 0`)
    inputs[at] = found
  }
  // Inputs in between that nothing fills.
  const hole = Array.from(inputs).findIndex((flow) => flow === undefined)
  if (hole >= 0) throw mismatch(step, `gets nothing for its input ${hole}`)
  return [...inputs, ...chosen.filter((flow) => !inputs.includes(flow) && !isAwaited(flow, context))]
}

/** The outputs that any `ioMap` of these steps names, as `step:output`. */
export function awaitedBy(list: readonly StepValue[]): ReadonlySet<string> {
  return new Set(list.flatMap(({ ioMap = [] }) => ioMap.map(([from, output]) => `${foldCase(from)}:${output}`)))
}

/**
 * The steps with the numbers that stand for dims of the model in their arguments.
 *
 * @throws OnnxError `PROCESSING_STEPS` where the model has no such dim, or it is dynamic
 */
export function withDims(list: readonly StepValue[], model: Model): readonly StepValue[] {
  const dimOf = (step: string, value: unknown): unknown => {
    if (!isModelDim(value)) return value
    const { of, index, dim } = value
    const values = of === 'input' ? inputsOf(model) : model.graph.outputs
    const found = values.at(index)
    const size = found?.shape?.at(dim)
    if (typeof size === 'number') return size
    const what = found ? `${of} "${found.name}" is [${shown(found.shape)}]` : `model has ${values.length} ${of}s`
    throw mismatch(step, `takes dim ${dim} of the model's ${of} ${index}, and the ${what}`, 'Write the number.')
  }
  return list.map((value) => {
    const { step } = value
    return Object.fromEntries(
      Object.entries(value).map(([key, given]) => {
        if (!Array.isArray(given) || !given.some(isModelDim)) return [key, given]
        const numbers = given.map((one) => dimOf(step, one))
        return [key, stepTable[step]!.params[key]?.type === 'numbers' ? numbers : numbers[0]]
      }),
    ) as StepValue & { step: string }
  })
}

/**
 * The flows with this output of the model first.
 *
 * @throws OnnxError `PROCESSING_OUTPUT`
 */
function outputFirst(flows: readonly Flow[], name: string): readonly Flow[] {
  const found = flows.find((flow) => flow.name === name)
  if (found) return [found, ...flows.filter((flow) => flow !== found)]
  const names = flows.flatMap((flow) => flow.name ?? [])
  const near = nearest(name, names)
  throw new OnnxError('PROCESSING_OUTPUT', `the model has no output "${name}"`, {
    hint: `${near ? `Did you mean "${near}"? ` : ''}Its outputs: ${names.join(', ')}.`,
  })
}
