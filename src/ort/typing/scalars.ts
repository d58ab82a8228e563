import { typeToProto } from '../../graph/types.ts'
import type { Value } from '../../graph/value.ts'
import { encodeToBytes } from '../../onnx/encode.ts'
import type { ModelProto } from '../../onnx/proto.ts'
import { openSession } from '../session.ts'
import { partsOf } from './part.ts'
import type { Skeleton } from './skeleton.ts'

/**
 * Those of `values` that are scalars. ONNX Runtime reports scalars and unknown ranks alike. The output of `Shape` tells them
 * apart: it has as many elements as its input has dimensions, and none that are known where the rank is not.
 */
export async function findScalars(values: readonly Value[], skeleton: Skeleton, model: ModelProto): Promise<Value[]> {
  const isConstant = (value: Value): boolean => value.producer?.is('Constant') === true && value.constant !== undefined
  const constants = values.filter((value) => isConstant(value) && value.constant!.dims.length === 0)
  const rest = values.filter((value) => !isConstant(value))
  if (!rest.length) return constants
  const names = new Set(rest.map(({ name }) => name))
  const probes = rest.map((_, i) => `rank_probe_${i}`)
  const { graph, outputs } = skeleton
  // Back to values of known shape: few, as most shapes are known. The elements of constants matter, not only their shapes.
  const part = partsOf(graph)(
    graph.node!.filter(({ output }) => output!.some((name) => names.has(name))),
    (name, { opType }) => {
      const known = outputs.get(name)
      return known?.shape && opType !== 'Constant' ? typeToProto(known.type!) : undefined
    },
  )
  const shapes = rest.map(({ name }, i) => ({ opType: 'Shape', input: [name], output: [probes[i]!] }))
  const bytes = encodeToBytes({
    ...model,
    graph: { ...part, node: [...part.node!, ...shapes], output: probes.map((name) => ({ name })) },
    metadataProps: [],
  })
  const session = await openSession(bytes, { intraOpNumThreads: 1, interOpNumThreads: 1 })
  const scalars = session.outputs.flatMap((output, i) => (output.isTensor && output.shape[0] === 0 ? [rest[i]!] : []))
  await session.release()
  return [...constants, ...scalars]
}
