import type { Model } from '../../graph/model.ts'

/** Optimizers that ONNX Runtime 1.30 gets wrong on structures that this model has, with the reason. */
export function suspects(model: Model): Map<string, string> {
  const found = new Map<string, string>()
  for (const node of model.allNodes()) {
    if (node.domain !== '' && node.domain !== 'ai.onnx') continue
    const readers = node.outputs[0]?.users ?? []
    // The padding that MaxPool does by itself is minus infinity, Pad's is zero, and it may not exceed the kernel.
    if (node.opType === 'Pad' && readers.some(({ opType }) => opType === 'MaxPool'))
      found.set('Pad_Fusion', 'a Pad before a MaxPool')
    // Without the reduced axis the mean is subtracted along another one: that is no layer normalization.
    const keepsAxes = node.attributes.get('keepdims')
    if (node.opType === 'ReduceMean' && keepsAxes?.kind === 'int' && !Number(keepsAxes.value))
      if (readers.some(({ opType }) => opType === 'Sub' || opType === 'Add'))
        for (const name of ['LayerNormFusionL1', 'LayerNormFusionL2', 'SimplifiedLayerNormFusion'])
          found.set(name, 'a mean without its axis (keepdims=0) that is subtracted')
  }
  return found
}
