type Words<S extends string> = S extends `${infer Word} ${infer Rest}` ? Word | Words<Rest> : S

/** Operators of the standard domain, so that a misspelt one in a rule does not compile. `SimplifiedLayerNormalization` is ONNX Runtime's own. */
export type StandardOp =
  | Words<'Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool'>
  | Words<'BatchNormalization Bernoulli BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor'>
  | Words<'BlackmanWindow Cast CastLike CausalConvWithState Ceil Celu CenterCropPad Clip Col2Im Compress'>
  | Words<'Concat ConcatFromSequence Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh'>
  | Words<'CumProd CumSum DFT DeformConv DepthToSpace DequantizeLinear Det Div Dropout'>
  | Words<'DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather'>
  | Words<'GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater'>
  | Words<'GreaterOrEqual GridSample GroupNormalization HammingWindow HannWindow HardSigmoid HardSwish'>
  | Words<'Hardmax Identity If InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu'>
  | Words<'Less LessOrEqual LinearAttention Log LogSoftmax Loop LpNormalization LpPool MatMul'>
  | Words<'MatMulInteger Max MaxPool MaxRoiPool MaxUnpool Mean MeanVarianceNormalization MelWeightMatrix'>
  | Words<'Min Mish Mod Mul Multinomial Neg NonMaxSuppression NonZero Not OneHot Optional'>
  | Words<'OptionalGetElement OptionalHasElement Or PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear'>
  | Words<'RMSNormalization RNN RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range'>
  | Words<'Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin'>
  | Words<'ReduceProd ReduceSum ReduceSumSquare RegexFullMatch Relu Reshape Resize ReverseSequence'>
  | Words<'RoiAlign RotaryEmbedding Round STFT Scan Scatter ScatterElements ScatterND Selu SequenceAt'>
  | Words<'SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SequenceMap Shape'>
  | Words<'Shrink Sigmoid Sign SimplifiedLayerNormalization Sin Sinh Size Slice Softmax Softplus Softsign'>
  | Words<'SpaceToDepth Split SplitToSequence Sqrt Squeeze StringConcat StringNormalizer StringSplit Sub'>
  | Words<'Sum SwiGLU Swish Tan Tanh TensorScatter TfIdfVectorizer ThresholdedRelu Tile TopK Transpose'>
  | Words<'Trilu Unique Unsqueeze Upsample Where Xor'>

/** Fused operators of ONNX Runtime (domain `com.microsoft`). */
export type MicrosoftOp =
  | Words<'Attention BiasAdd BiasDropout BiasGelu BiasSoftmax BiasSplitGelu'>
  | Words<'DecoderMaskedMultiHeadAttention DequantizeLinear DynamicQuantizeLSTM DynamicQuantizeMatMul'>
  | Words<'EmbedLayerNormalization ExpandDims FastGelu FusedConv FusedGemm FusedMatMul'>
  | Words<'FusedMatMulActivation GatedRelativePositionBias GatherBlockQuantized Gelu GemmFastGelu'>
  | Words<'GemmFloat8 GroupNorm GroupQueryAttention LongformerAttention MatMulBnb4 MatMulIntegerToFloat'>
  | Words<'MatMulNBits MoE MultiHeadAttention NhwcConv PackedAttention PackedMultiHeadAttention'>
  | Words<'PagedAttention QAttention QEmbedLayerNormalization QGemm QLinearAdd QLinearAveragePool'>
  | Words<'QLinearConcat QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul QLinearSigmoid'>
  | Words<'QLinearSoftmax QLinearWhere QMoE QOrderedAttention QOrderedGelu QOrderedLayerNormalization'>
  | Words<'QOrderedMatMul QuantizeLinear QuickGelu RelativePositionBias RemovePadding RestorePadding'>
  | Words<'RotaryEmbedding SkipGroupNorm SkipLayerNormalization SkipSimplifiedLayerNormalization'>
  | Words<'SparseAttention TransposeMatMul'>

export const MICROSOFT = 'com.microsoft'

/** `Op` in the standard domain, `domain:Op` elsewhere: how rules and tables write an operator. */
export function qualified(domain: string, op: string): string {
  return domain ? `${domain}:${op}` : op
}

/** The inverse of `qualified`. */
export function splitQualified(name: string): { domain: string; op: string } {
  const at = name.lastIndexOf(':')
  return at < 0 ? { domain: '', op: name } : { domain: name.slice(0, at), op: name.slice(at + 1) }
}
