import { type AttributeValue, int, tensor } from '../../graph/attributes.ts'
import type { Node } from '../../graph/node.ts'
import { Tensor } from '../../graph/tensor.ts'
import { FLOAT16_MAX } from '../../kernels/index.ts'
import { codeOf } from '../../onnx/dtypes.ts'
import { BFLOAT16_MAX, type HalfType } from './constants.ts'

const FLOAT = codeOf('float32')

/** Attributes that hold the element type of an output, and the operators for which a missing one means float32. */
const TYPE_ATTRIBUTES: readonly { name: string; implied: readonly string[] }[] = [
  { name: 'to', implied: [] },
  { name: 'dtype', implied: ['RandomNormal', 'RandomUniform', 'SequenceEmpty'] },
  { name: 'output_datatype', implied: ['HannWindow', 'HammingWindow', 'BlackmanWindow', 'MelWeightMatrix'] },
  { name: 'output_dtype', implied: [] },
]

/** The attributes that must change for a node to produce a half where it produces float32 by its own word. */
export function halfAttributes(node: Node, type: HalfType): Map<string, AttributeValue> {
  const changed = new Map<string, AttributeValue>()
  for (const { name, implied } of TYPE_ATTRIBUTES) {
    const attribute = node.attributes.get(name)
    if (attribute ? attribute.kind === 'int' && Number(attribute.value) === FLOAT : implied.includes(node.opType))
      changed.set(name, int(codeOf(type)))
  }
  if (node.is('ConstantOfShape')) {
    const value = node.tensor('value') ?? Tensor.float32([1], [0])
    // A fill of -3.4e38 (a mask) becomes the lowest half, not -Infinity: 0 times it must stay 0.
    const most = type === 'float16' ? FLOAT16_MAX : BFLOAT16_MAX
    const limit = (x: number): number => (Number.isFinite(x) ? Math.min(Math.max(x, -most), most) : x)
    if (value.dtype === 'float32')
      changed.set('value', tensor(Tensor.from(type, value.dims, value.toNumbers().map(limit))))
  }
  return changed
}
