import type { Model } from '../../graph/model.ts'
import { tensorType } from '../../graph/types.ts'
import type { Value } from '../../graph/value.ts'
import { codeOf, DTYPES, type DType } from '../../onnx/dtypes.ts'
import type { PassContext, PassResult } from '../pass.ts'

/** See `inputInt32`. Numbers beyond 31 bits do not fit any more: ids and masks have none. */
export function run(model: Model, { note }: Pick<PassContext, 'note'>): PassResult {
  let changes = 0
  for (const input of model.graph.inputs) {
    const { dtype } = input
    if (!dtype || dtype === 'int32' || DTYPES[dtype].kind !== 'int') continue
    const reason = input.tensor ? 'has a default value' : input.isOutput ? 'is an output too' : undefined
    if (reason) {
      note({ level: 'info', code: 'input-int32/kept', message: `"${input.name}" stays ${dtype}: it ${reason}` })
      continue
    }
    narrow(input, dtype)
    changes++
  }
  return { changes }
}

function narrow(input: Value, dtype: DType): void {
  const { graph } = input
  const shape = input.shape
  const readers = [...input.uses]
  input.type = tensorType('int32', shape)
  // A Cast to another type gives the same from int32; one to int32 has nothing left to do.
  const others = readers.filter(({ node }) => !node.is('Cast'))
  for (const { node } of readers) {
    if (!node.is('Cast') || node.int('to') !== codeOf('int32') || node.output().isOutput) continue
    node.output().replaceUses(input)
    node.graph.remove(node)
  }
  if (!others.length) return
  const cast = graph.insert(
    {
      op: 'Cast',
      inputs: [input],
      attributes: { to: { kind: 'int', value: codeOf(dtype) } },
      outputs: [`${input.name}_${dtype}`],
      types: [tensorType(dtype, shape)],
    },
    { before: graph.firstNode },
  )
  for (const { node, index } of others) node.setInput(index, cast.output())
}
