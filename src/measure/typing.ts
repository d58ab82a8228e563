import { copyModel } from '../graph/copy.ts'
import type { Model } from '../graph/model.ts'
import type { Value } from '../graph/value.ts'
import type { OrtService } from '../ort/service.ts'
import { spellOut } from './spelled-out.ts'

/**
 * Finds the types of all values, also behind fused operators that ONNX Runtime knows nothing about where it has no kernel for
 * them: what they stand for is looked at.
 */
export async function inferTypesOnGpu(model: Model, ort: Pick<OrtService, 'inferTypes'>): Promise<void> {
  const { model: copy, nodes } = copyModel(model)
  const twins: [Value, Value][] = []
  for (const [node, twin] of nodes)
    node.outputs.forEach((value, i) => {
      const other = twin.outputs[i]
      if (value && other) twins.push([value, other])
    })
  if (!spellOut(copy)) {
    await ort.inferTypes(model, { scalars: false })
    return
  }
  await ort.inferTypes(copy, { scalars: false })
  for (const [value, { type }] of twins) if (type) value.type = type
}
