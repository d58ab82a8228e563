import { familyOf, rulesOf } from '../../rules/families/index.ts'
import type { ModelType } from '../../rules/families/names.ts'
import type { Choice } from '../../rules/index.ts'
import type { FuseOptions } from './run.ts'

/**
 * The rules that options ask for.
 *
 * @param type what the model is, by the user's word or by its looks
 */
export function choiceOf(options: FuseOptions, type: ModelType | undefined, device: string): Choice {
  const { fuse, without = [], only, attentionOp = 'auto', geluApproximation } = options
  const isGiven = fuse !== 'auto' && fuse !== 'none'
  const family = type && familyOf(type)
  const mask = maskFormat(options)
  const also = [
    ...(options.with ?? []),
    ...(geluApproximation ? ['gelu-approximation'] : []),
    ...((!only?.length && takesNhwc(options) && family?.also) || []),
    ...(device === 'qnn' && !only?.length ? ['qnn'] : []),
    ...(mask === 'raw' ? [] : [`mask-${mask}`]),
    ...(attentionOp === 'GroupQueryAttention' ? ['group-query-attention'] : []),
  ]
  const lacking = [...withoutBlocks(options.quantize), ...withoutMasks(device)]
  return {
    among: isGiven && family ? rulesOf(family) : [],
    without: [
      ...without,
      ...lacking.filter((rule) => !only?.includes(rule) && !also.includes(rule)),
      ...withoutBiases(device),
    ],
    also,
    only,
    attention: attentionOp === 'auto' ? undefined : [attentionOp, `com.microsoft:${attentionOp}`],
  }
}

/** Packed operators are told how long the sequences are. */
function maskFormat({ mask = 'raw', packing }: FuseOptions): NonNullable<FuseOptions['mask']> {
  return packing && mask === 'raw' ? 'index' : mask
}

/** Quantization looks for Conv. */
function takesNhwc({ quantize = 'none' }: FuseOptions): boolean {
  return quantize === 'none'
}

/** Rules whose operators take no weights in blocks, where such are wanted: fused, they would keep their weights float. */
function withoutBlocks(quantize: FuseOptions['quantize']): string[] {
  if (quantize === 'bnb4') return ['packed-attention']
  return quantize === 'weights' || quantize === 'auto' ? ['packed-attention', 'embed-layer-norm'] : []
}

/** Rules that give attention inputs which its kernels on a device do not take (by ONNX Runtime's own lists of 1.30): masks are added instead. */
function withoutMasks(device: string): string[] {
  return device === 'webgpu' || device === 'webnn' ? ['padding-mask', 'attention-past'] : []
}

/** The kernels of GroupQueryAttention that take the model's mask are those for the CPU (ONNX Runtime 1.30). */
function withoutBiases(device: string): string[] {
  return device === 'cpu' || device === 'wasm' ? [] : ['group-query', 'group-query-past', 'group-query-attention']
}
