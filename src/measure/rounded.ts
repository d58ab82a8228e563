import { int } from '../graph/attributes.ts'
import { copyModel } from '../graph/copy.ts'
import type { Model } from '../graph/model.ts'
import type { Node } from '../graph/node.ts'
import { tensorType } from '../graph/types.ts'
import { Value } from '../graph/value.ts'
import { codeOf, type DType } from '../onnx/dtypes.ts'
import { createOrtService } from '../ort/service.ts'
import { spellOut } from './spelled-out.ts'

/** Whether a device rounds every result in float16. The kernels of CPUs keep float32 between many operators. */
export function roundsResults(device: string): boolean {
  return device !== 'cpu' && device !== 'wasm'
}

/** Operators that compute nothing, and those whose bodies do: they give on what they get. */
const PASSES_ON = new Set([
  ...['Cast', 'If', 'Loop', 'Scan', 'Identity', 'Reshape', 'Transpose', 'Gather', 'Concat', 'Squeeze', 'Unsqueeze'],
  ...['Flatten', 'Expand', 'Shape', 'Size', 'Split', 'Slice', 'Constant', 'SequenceConstruct', 'SequenceInsert'],
  ...['SequenceAt', 'SequenceErase', 'SequenceLength', 'ConcatFromSequence'],
])

/** Attributes that say what type an output has. */
const TYPE_ATTRIBUTES = ['dtype', 'to', 'output_dtype', 'output_datatype']

/**
 * A copy of a model in which every node that works on halves (float16, bfloat16) computes in float32 between Casts, so that each
 * result is rounded, and overflows, as it does on a GPU. A CPU runs several such operators in a row in float32 without rounding in
 * between, and has no kernels for bfloat16 at all. Fused operators that only GPUs have are spelled out.
 *
 * @returns undefined if nothing in it works on halves, or is for GPUs alone
 */
export async function withRounding(original: Model): Promise<Model | undefined> {
  const { model } = copyModel(original)
  let changed = spellOut(model)
  const isBfloat = [...model.graph.allNodes()].some(({ outputs }) =>
    outputs.some((value) => value?.dtype === 'bfloat16'),
  )
  // Of bfloat16 ONNX Runtime does not tell in Node: such models have their types from the conversion.
  if (!isBfloat) await createOrtService().inferTypes(model, { scalars: false })
  for (const graph of model.graph.allGraphs()) {
    const wide = new Map<Value, Value>()
    for (const node of [...graph.nodes()]) {
      if (!worksOnHalves(node)) continue
      changed++
      for (const [i, value] of node.inputs.entries()) {
        if (!value || !isHalf(value)) continue
        const known = wide.get(value)
        const cast = known ?? graph.insert(castOf(value, 'float32'), { before: node }).output()
        wide.set(value, cast)
        node.setInput(i, cast)
      }
      for (const [i, value] of node.outputs.entries()) {
        if (!value || !isHalf(value)) continue
        const name = model.names.fresh(`${value.name}_float32`)
        node.setOutput(i, new Value(graph, name, tensorType('float32', value.shape)))
        const cast = graph.insert(castOf(node.output(i), value.dtype!), { after: node })
        cast.setOutput(0, value)
      }
    }
  }
  return changed ? model : undefined
}

function worksOnHalves(node: Node): boolean {
  if (PASSES_ON.has(node.opType) && node.domain === '') return false
  if (node.subgraphs.length || TYPE_ATTRIBUTES.some((name) => node.attributes.has(name))) return false
  return node.inputs.some((value) => value && isHalf(value))
}

function isHalf({ dtype }: Value): boolean {
  return dtype === 'float16' || dtype === 'bfloat16'
}

function castOf(value: Value, dtype: DType) {
  return {
    op: 'Cast',
    inputs: [value],
    attributes: { to: int(codeOf(dtype)) },
    types: [tensorType(dtype, value.shape)],
  }
}
