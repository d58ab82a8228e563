import type { DType } from '../../../onnx/dtypes.ts'
import { isStandard } from '../determinism.ts'
import type { Elimination } from '../eliminate.ts'
import { castTarget } from '../facts.ts'

/** Types that hold every value of the key exactly. */
const WIDER: { readonly [K in DType]?: readonly DType[] } = {
  bool: ['uint8', 'int8', 'uint16', 'int16', 'uint32', 'int32', 'uint64', 'int64', 'float16', 'float32', 'float64'],
  uint8: ['uint16', 'int16', 'uint32', 'int32', 'uint64', 'int64', 'float16', 'float32', 'float64'],
  int8: ['int16', 'int32', 'int64', 'float16', 'float32', 'float64'],
  uint16: ['uint32', 'int32', 'uint64', 'int64', 'float32', 'float64'],
  int16: ['int32', 'int64', 'float32', 'float64'],
  uint32: ['uint64', 'int64', 'float64'],
  int32: ['int64', 'float64'],
  float16: ['float32', 'float64'],
  bfloat16: ['float32', 'float64'],
  float32: ['float64'],
}

/** Cast there and back, where the type in between holds every value: `float16 -> float32 -> float16`. */
export const castChain: Elimination = {
  ops: ['Cast'],
  find(node, facts) {
    const first = node.input(0)?.producer
    const target = castTarget(node)
    if (!target || !first || !isStandard(first) || first.opType !== 'Cast') return undefined
    const between = castTarget(first)
    const source = first.input(0)
    if (!source || !between || !WIDER[target]?.includes(between)) return undefined
    return facts.dtype(source) === target ? source : undefined
  },
}
