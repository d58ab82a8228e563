import { readdirSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { readModel } from '../../../src/graph/import.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import { clean } from '../../../src/passes/clean/index.ts'
import { run } from '../../../src/passes/fuse/run.ts'
import { bytesOf, difference, passContext, signatureOf } from '../../support/models.ts'
import { opsOf, randomFeeds } from '../../support/rules.ts'
import { hasShared, shared } from '../../support/shared.ts'
import { type Recorded, readableModels, recordedRuns } from '../../support/shared-cases.ts'

/**
 * What the general rules make of cases from ONNX Runtime's tests that are about them. Where this differs from what
 * ONNX Runtime 1.30 does on CPU, the reason stands beside it.
 */
const DECISIONS: Record<string, string> = {
  bias_gelu_fusion: 'com.microsoft:BiasGelu',
  conv_add_relu: 'Add, Conv, Relu', // the term is computed
  fast_gelu: 'com.microsoft:FastGelu', // ONNX Runtime leaves it in this file
  fast_gelu2_with_bias: 'com.microsoft:FastGelu', // likewise
  'fuse-conv-bn-add-mul-float16': 'Add, Conv, Mul',
  'fuse-conv-bn-mul-add-unsqueeze': 'Conv, Flatten, Sub',
  'fuse-matmul-bn-directly': 'Gemm',
  'fuse-matmul-bn-directly-dont-fuse': 'BatchNormalization, MatMul',
  'fuse-pad-avgpool_with_pad-nofuse': 'AveragePool, Pad',
  'fuse-pad-conv': 'Conv',
  'fuse-pad-maxpool': 'MaxPool, Pad', // pads with 0, which is not lowest: ONNX Runtime makes a model of it that it can't load
  gelu: 'com.microsoft:Gelu',
  gelu_format2_0: 'com.microsoft:Gelu',
  gelu_opset20: 'Gelu',
  gemm_sum_basic: 'Gemm',
  gemm_sum_no_fusion_c_used: 'Gemm, Sum',
  gemm_transpose_2outputs_from_transpose: 'Gemm, Transpose',
  layer_norm: 'LayerNormalization',
  layer_norm_shared_input: '2 LayerNormalization', // ONNX Runtime computes their common part once, but in nine operators
  layer_norm_t5: 'SimplifiedLayerNormalization',
  layer_norm_with_cast_2: 'LayerNormalization', // ONNX Runtime refuses float16 on CPU, though its kernel takes it
  matmul_scale_in0: 'com.microsoft:FusedMatMul',
  matmul_scale_unfusable_div_not_scale: 'Div, MatMul',
  'negative-fuse-conv-add-no-bias': 'Add, Conv, Flatten, Unsqueeze',
  not_where: 'Not, 5 Where',
  relu_clip_fusion_gh_issue_9753: 'Clip',
  simplified_layer_norm_with_casts: 'SimplifiedLayerNormalization', // as with layer_norm_with_cast_2
  skip_layer_norm_format1_partial: 'com.microsoft:SkipLayerNormalization',
  skip_layer_norm_format2_graph_output: 'Add, com.microsoft:SkipLayerNormalization',
  skip_layer_norm_format3_no_fusion: 'com.microsoft:SkipLayerNormalization',
  transpose_matmul_4d_fusion: 'com.microsoft:FusedMatMul',
  transpose_matmul_4d_fusion_invalid_perm: 'MatMul, Transpose',
}

/**
 * The other cases, whole layers and clean-ups: which operators there are of those that count (`0`: none is left). Prefix: where the
 * case comes from.
 */
const COUNTS: Record<string, Record<string, number>> = {
  fusion__attention_int32_mask: { 'com.microsoft:Attention': 1, Softmax: 0 },
  fusion__attention_mask_no_cast: { 'com.microsoft:Attention': 1, Softmax: 0 }, // ONNX Runtime leaves it: the mask is constant
  fusion__attention_past_unidir: { 'com.microsoft:MultiHeadAttention': 1, Softmax: 0 },
  fusion__attention_symbolic_batch: { 'com.microsoft:Attention': 1, Softmax: 0 },
  fusion__constant_folding_qdq_node_unit: { DequantizeLinear: 4, QuantizeLinear: 3, Transpose: 0 }, // a pair for each reader stays
  fusion__constant_folding_with_shape_to_initializer: { Concat: 0, Div: 0, Gather: 0, Unsqueeze: 0, MatMul: 2 },
  fusion__dynamic_quantize_matmul_bias: { MatMulInteger: 1 }, // ONNX Runtime's own optimizer does that: optimize=extended
  fusion__embed_layer_norm_format1: { 'com.microsoft:EmbedLayerNormalization': 1, LayerNormalization: 0 },
  fusion__embed_layer_norm_format3: { 'com.microsoft:EmbedLayerNormalization': 1, LayerNormalization: 0, Range: 0 },
  fusion__embed_layer_norm_format5: { 'com.microsoft:EmbedLayerNormalization': 1, LayerNormalization: 0 },
  fusion__embed_layer_norm_format9_opset13: { 'com.microsoft:EmbedLayerNormalization': 0, Range: 1 }, // two lookups: SkipLayerNormalization
  fusion__embed_layer_norm_multiple: { 'com.microsoft:EmbedLayerNormalization': 2, LayerNormalization: 0 },
  fusion__gpt2_one_layer: { 'com.microsoft:Attention': 1, 'com.microsoft:EmbedLayerNormalization': 1, Softmax: 0 },
  fusion__gpt2_past_mask_one_layer: { 'com.microsoft:MultiHeadAttention': 1, LayerNormalization: 0, Softmax: 0 },
  fusion__reshape: { Concat: 0, Gather: 0, Shape: 0, Unsqueeze: 0, Reshape: 1 },
  fusion__reshape_fusion_internal_node_is_graph_output: { Concat: 0, Gather: 0, Shape: 0 },
  fusion__reshape_fusion_overridable_initializer: { Reshape: 1 }, // its shape may be another at run time
  fusion__reshape_fusion_with_slice1: { Concat: 0, Slice: 0, Shape: 0 },
  fusion__skip_layer_norm: { 'com.microsoft:SkipLayerNormalization': 0, Sqrt: 1 }, // subtracts the mean of another value
  py__attention_mha: { 'com.microsoft:MultiHeadAttention': 1 },
  py__attention_opt: { 'com.microsoft:Attention': 1 },
  py__bert_3d_attention_opt: { 'com.microsoft:Attention': 1, 'com.microsoft:SkipLayerNormalization': 2, Add: 0 },
  py__gpt2_megatron: { 'com.microsoft:MultiHeadAttention': 1, 'com.microsoft:FastGelu': 1, Softmax: 0, Sqrt: 0 },
  py__gpt2_past: { 'com.microsoft:MultiHeadAttention': 12, 'com.microsoft:FastGelu': 12, Softmax: 0, Sqrt: 0 },
  td__bert_toy_optimized: {
    'com.microsoft:Attention': 5,
    'com.microsoft:BiasGelu': 6,
    'com.microsoft:EmbedLayerNormalization': 1,
    'com.microsoft:SkipLayerNormalization': 10, // the eleventh of ONNX Runtime's is part of the embeddings
    Sqrt: 0,
  },
  td__dummy_t5: { 'com.microsoft:BeamSearch': 1 },
  td__layernorm: { LayerNormalization: 1, Sqrt: 0 },
  transform__cast_elimination: { Cast: 3 },
  transform__constant_folding_transpose_empty_initializer: { Transpose: 0 },
  transform__cse__cse_graph_output: { Add: 2 },
  transform__cse__cse_subgraph: { Mul: 4, Sum: 4 },
  transform__expand_elimination: { Expand: 3 }, // the ones left may grow their input
  transform__insert_cast_twice: { Cast: 2 },
  'transform__noop-add': { Add: 4 }, // these may grow their input
  'transform__slice-v11-elim': { Slice: 3 },
}

const options = {
  fuse: 'auto',
  geluApproximation: false,
  mask: 'raw',
  strict: true,
  with: ['fused-matmul', 'fused-activation', 'bias-softmax', 'bias-dropout'],
} as const

describe.skipIf(!hasShared)('models made to be fused, or not', () => {
  test.each(Object.entries(DECISIONS))('%s: %s', async (name, ops) => {
    const model = readModel(shared(`fusion/fusion__${name}.onnx`))
    await clean.run(model, { optimize: 'clean' }, passContext())
    await run(model, options, passContext())
    expect(opsOf(model)).toBe(ops)
  })
})

describe.skipIf(!hasShared)('whole layers, and clean-ups', () => {
  test('every case is decided', () => {
    const decided = [...Object.keys(DECISIONS).map((name) => `fusion__${name}`), ...Object.keys(COUNTS)]
    const cases = readdirSync(shared('fusion')).flatMap((file) => (file.endsWith('.onnx') ? [file.slice(0, -5)] : []))
    expect(decided.toSorted()).toEqual(cases.toSorted())
  })

  test.each(Object.entries(COUNTS))('%s: %o', async (name, wanted) => {
    const model = readModel(shared(`fusion/${name}.onnx`))
    await clean.run(model, { optimize: 'clean' }, passContext())
    await run(model, options, passContext())
    const ops = model.histogram()
    expect(Object.fromEntries(Object.keys(wanted).map((op) => [op, ops[op] ?? 0]))).toEqual(wanted)
  })
})

describe.skipIf(!hasShared)('all rules at once change no results', () => {
  test.each(readableModels(['fusion', 'issues', 'real']))('%s', async (file) => {
    const model = readModel(shared(file))
    const { ort } = passContext()
    const original = await ort.open(shared(file)).catch(() => undefined)
    const signature = signatureOf(model)
    const { changes } = await run(model, options, passContext())
    expect(signatureOf(model)).toBe(signature)
    if (!original) return
    const session = await ort.open(model)
    const runs: Recorded[] = recordedRuns(file)
    if (changes && !runs.length) {
      const feeds = randomFeeds(readModel(shared(file)))
      // Masks hold 0 and 1; that of one model has another name.
      const names = Object.keys(feeds).filter((name) => name.includes('mask'))
      for (const name of file.includes('attention_symbolic_batch') ? ['input_2'] : names) {
        const { dtype, dims } = feeds[name]!
        const numbers = feeds[name]!.toNumbers().map((x) => (x > 0 ? 1 : 0))
        feeds[name] = Tensor.from(dtype!, dims, numbers)
      }
      const expected = await original.run(feeds).catch(() => undefined)
      if (expected) runs.push({ feeds, expected })
    }
    for (const { feeds, expected } of runs) {
      const actual = await session.run(feeds)
      for (const [name, tensor] of Object.entries(expected)) expect(difference(actual[name], tensor)).toBeLessThan(1e-4)
    }
    if (changes) expect(bytesOf(model).length).toBeLessThanOrEqual(bytesOf(readModel(shared(file))).length + 512)
    await session.release()
    await original.release()
  })
})
