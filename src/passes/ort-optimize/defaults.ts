import type { AttributeProto, NodeProto } from '../../onnx/proto.ts'

/** Attributes that ONNX Runtime writes although they say what holds anyway, by operator ('' for all). */
const DEFAULTS: { readonly [operator: string]: { readonly [attribute: string]: number | string } } = {
  '': { auto_pad: 'NOTSET' },
  Cast: { saturate: 1, round_mode: 'up' },
  FusedGemm: { transA: 0, transB: 0, alpha: 1, beta: 1 },
  FusedMatMul: { transA: 0, transB: 0, transBatchA: 0, transBatchB: 0, alpha: 1 },
  Gather: { axis: 0 },
  Gemm: { transA: 0, transB: 0, alpha: 1, beta: 1 },
  LayerNormalization: { stash_type: 1, axis: -1 },
  ReduceMean: { keepdims: 1 },
  Reshape: { allowzero: 0 },
  ScatterND: { reduction: 'none' },
  Shape: { start: 0 },
}

/** The node without attributes that only repeat the default. */
export function withoutDefaults(node: NodeProto): NodeProto {
  const isDefault = (attribute: AttributeProto): boolean => {
    const name = attribute.name ?? ''
    const value = DEFAULTS[node.opType ?? '']?.[name] ?? DEFAULTS['']?.[name]
    if (value === undefined) return false
    if (typeof value === 'string') return new TextDecoder().decode(attribute.s) === value
    return (attribute.type === 1 ? attribute.f : Number(attribute.i)) === value
  }
  const attribute = node.attribute?.filter((entry) => !isDefault(entry)) ?? []
  return attribute.length === (node.attribute?.length ?? 0) ? node : { ...node, attribute }
}
