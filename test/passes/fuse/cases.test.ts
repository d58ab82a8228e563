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
      // Its second input is a padding mask: 0 and 1.
      const mask = file.includes('attention_symbolic_batch') ? feeds['input_2'] : undefined
      if (mask)
        feeds['input_2'] = Tensor.int64(
          mask.toNumbers().map((x) => Math.min(x, 1)),
          mask.dims,
        )
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
