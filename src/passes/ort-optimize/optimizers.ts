import { OnnxError } from '../../onnx/errors.ts'
import { nearest } from '../../params/nearest.ts'

/**
 * The optimizers of ONNX Runtime 1.30 that levels basic and extended run, by the names that
 * `optimization.disable_specified_optimizers` knows them under (they differ from the class names here and there).
 */
export const OPTIMIZERS = [
  'EliminateIdentity',
  'EliminateSlice',
  'UnsqueezeElimination',
  'EliminateDropout',
  'ExpandElimination',
  'CastElimination',
  'PreShapeNodeElimination',
  'NoopElimination',
  'DivMulFusion',
  'FuseReluClip',
  'GemmSumFusion',
  'GemmTransposeFusion',
  'NotWhereFusion',
  'ConvAddFusion',
  'ConvMulFusion',
  'ConvBNFusion',
  'Pad_Fusion',
  'MatMul_BatchNormalization_Fusion',
  'LabelEncoderFusion',
  'DoubleQDQPairsRemover',
  'ConstantSharing',
  'CommonSubexpressionElimination',
  'ConstantFolding',
  'MatMulAddFusion',
  'ReshapeFusion',
  'SliceConcatToSpaceToDepthFusion',
  'GeluFusionL1',
  'LayerNormFusionL1',
  'QDQPropagationTransformer',
  'WeightBiasQuantization',
  'WhereDummyDq',
  'TransposeOptimizer',
  'ClipQuantRewrite',
  'ReluQuantRewrite',
  'QDQS8ToU8Transformer',
  'QDQSelectorActionTransformer',
  'GemmActivationFusion',
  'MatMulIntegerToFloatFusion',
  'DynamicQuantizeMatMulFusion',
  'ConvActivationFusion',
  'GeluFusionL2',
  'BiasGeluFusion',
  'LayerNormFusionL2',
  'SimplifiedLayerNormFusion',
  'AttentionFusion',
  'EmbedLayerNormFusion',
  'GatherSliceToSplitFusion',
  'GatherToSliceFusion',
  'MatmulTransposeFusion',
  'MatMulScaleFusion',
  'SkipLayerNormFusion',
  'BiasSkipLayerNormFusion',
  'FastGeluFusion',
  'QuickGeluFusion',
  'GeluApproximation',
  'MatMulNBitsFusion',
  'QDQFinalCleanupTransformer',
  'NchwcTransformer',
  'NhwcTransformer',
  'ConvAddActivationFusion',
  'FuseFp16InitializerToFp32NodeTransformer',
] as const

/** @throws OnnxError `OPTION_VALUE` naming the optimizer that does not exist, and the nearest that does */
export function checkOptimizers(names: readonly string[] | undefined): void {
  for (const name of names ?? []) {
    if ((OPTIMIZERS as readonly string[]).includes(name)) continue
    const near = nearest(name, OPTIMIZERS)
    throw new OnnxError('OPTION_VALUE', `ONNX Runtime has no optimizer "${name}"`, {
      hint: `${near ? `Did you mean "${near}"? ` : ''}It has: ${OPTIMIZERS.join(', ')}.`,
    })
  }
}

/** Optimizers whose operators only the CPU (and so also wasm) can run. */
const CPU_ONLY = [
  'GemmActivationFusion', // FusedGemm
  'MatMulIntegerToFloatFusion',
  'DynamicQuantizeMatMulFusion',
  'QDQSelectorActionTransformer', // QLinearConv, QGemm, ...
]
/** Optimizers whose operators WebGPU has no kernel for, or one that refuses the masks that they make. */
const NOT_WEBGPU = [
  ...CPU_ONLY,
  'MatmulTransposeFusion', // FusedMatMul
  'MatMulScaleFusion', // FusedMatMul
  'AttentionFusion',
  'EmbedLayerNormFusion',
]
/** Everything that makes operators beyond the standard. */
const ALL_CONTRIB = [
  ...NOT_WEBGPU,
  'ConvActivationFusion', // FusedConv
  'GeluFusionL2',
  'BiasGeluFusion',
  'SkipLayerNormFusion',
  'BiasSkipLayerNormFusion',
  'FastGeluFusion',
  'QuickGeluFusion',
  'GeluApproximation',
]

/** What level extended must leave out so that the device itself can run the result, from the kernel lists of ONNX Runtime 1.30. */
export const AVOIDED: { readonly [device: string]: readonly string[] } = {
  cpu: [],
  wasm: [],
  webgpu: NOT_WEBGPU,
  webnn: ALL_CONTRIB,
  cuda: CPU_ONLY,
  dml: CPU_ONLY,
  tensorrt: ALL_CONTRIB,
  coreml: ALL_CONTRIB,
  qnn: ALL_CONTRIB,
}
