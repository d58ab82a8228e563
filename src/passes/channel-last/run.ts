import { ints } from '../../graph/attributes.ts'
import type { Model } from '../../graph/model.ts'
import { tensorType, type ValueType } from '../../graph/types.ts'
import type { Value } from '../../graph/value.ts'
import { OnnxError } from '../../onnx/errors.ts'
import { nearest } from '../../params/nearest.ts'
import type { ParamOutput } from '../../params/spec.ts'
import type { PassResult } from '../pass.ts'
import type { channelLast } from './index.ts'

type TensorType = Extract<ValueType, { kind: 'tensor' | 'sparse' }>

export type ChannelLastOptions = Pick<
  ParamOutput<(typeof channelLast)['params']>,
  'inputsToMakeChannelLast' | 'outputsToMakeChannelLast'
>

/**
 * See `channelLast`.
 *
 * @throws OnnxError `OPTION_INVALID` for names that the model does not have, and what has no channels to move
 */
export function run(model: Model, options: ChannelLastOptions): PassResult {
  const { graph } = model
  // All names first: nothing is half done.
  const inputs = chosen('input', options.inputsToMakeChannelLast, graph.inputs, model)
  const outputs = chosen('output', options.outputsToMakeChannelLast, graph.outputs, model)
  for (const input of inputs) turnInput(input)
  for (const output of outputs) turnOutput(output)
  return { changes: inputs.length + outputs.length }
}

function chosen(kind: string, names: readonly string[] = [], values: readonly Value[], { file }: Model): Value[] {
  const known = values.map(({ name }) => name)
  return [...new Set(names)].map((name) => {
    const value = values.find((each) => each.name === name)
    const near = nearest(name, known)
    const invalid = (what: string, hint?: string): OnnxError =>
      new OnnxError('OPTION_INVALID', what, { place: { file }, ...(hint && { hint }) })
    if (!value)
      throw invalid(
        `the model has no ${kind} "${name}"`,
        `${near ? `Did you mean "${near}"? ` : ''}Its ${kind}s: ${known.join(', ')}.`,
      )
    const reason = value.tensor
      ? 'has a default value'
      : value.isInput && value.isOutput
        ? 'is an input and an output at once'
        : value.type?.kind !== 'tensor' || (value.rank ?? 0) < 3
          ? 'is not known to have three dimensions or more'
          : undefined
    if (reason) throw invalid(`the channels of the ${kind} "${name}" cannot become last: it ${reason}`)
    return value
  })
}

/** The channels from axis 1 to the end. */
const toLast = (rank: number): number[] => [0, ...Array.from({ length: rank - 2 }, (_, i) => i + 2), 1]
/** And back. */
const toFirst = (rank: number): number[] => [0, rank - 1, ...Array.from({ length: rank - 2 }, (_, i) => i + 1)]

function turned(type: TensorType): ValueType {
  const shape = type.shape!
  return tensorType(
    type.dtype,
    toLast(shape.length).map((axis) => shape[axis]!),
  )
}

function turnInput(input: Value): void {
  const type = input.type as TensorType
  const { graph } = input
  const uses = [...input.uses]
  input.type = turned(type)
  if (!uses.length) return
  const transpose = graph.insert(
    {
      op: 'Transpose',
      inputs: [input],
      attributes: { perm: ints(toFirst(type.shape!.length)) },
      outputs: [`${input.name}_channel_first`],
      types: [tensorType(type.dtype, type.shape)],
    },
    { before: graph.firstNode },
  )
  for (const { node, index } of uses) node.setInput(index, transpose.output())
}

function turnOutput(output: Value): void {
  const type = output.type as TensorType
  const { graph, name } = output
  const fresh = graph
    .insert({
      op: 'Transpose',
      inputs: [output],
      attributes: { perm: ints(toLast(type.shape!.length)) },
      outputs: [`${name}_channel_first`],
    })
    .output()
  output.name = fresh.name
  fresh.name = name
  graph.outputs.forEach((value, i) => {
    if (value === output) graph.setOutput(i, fresh)
  })
  fresh.type = turned(type)
}
