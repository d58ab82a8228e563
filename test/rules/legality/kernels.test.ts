import { describe, expect, test } from 'vitest'
import { parseKernelList, parseNameTable, parseRegistry, parseTensorRt } from '../../../scripts/legality/parse.mjs'
import { hasKernel, kernelList, kernelTypes } from '../../../src/rules/legality/kernels.ts'
import { legalityOf } from '../../../src/rules/legality.ts'

const devices = ['cpu', 'wasm', 'cuda', 'tensorrt', 'dml', 'coreml', 'qnn', 'webnn', 'webgpu']

test.each(devices)('%s has a list with a version', (device) => {
  expect(kernelList(device)!.source).toMatch(/^onnx\S* \d+\.\d+/)
  expect(hasKernel(device, 'MatMul', 17)).toBe(true)
  expect(hasKernel(device, 'NoSuchOperator', 17)).toBe(false)
})

test('no list of a device that does not exist', () => expect(hasKernel('abacus', 'MatMul', 17)).toBeUndefined())

test('an open kernel ends where a newer version of the operator begins', () => {
  expect([13, 21].map((opset) => hasKernel('webgpu', 'MaxPool', opset))).toEqual([true, true])
  expect(hasKernel('webgpu', 'MaxPool', 22)).toBe(false)
  // Providers that look at nodes one by one do not mind.
  expect(hasKernel('coreml', 'MaxPool', 22)).toBe(true)
})

test('element types', () => {
  expect(hasKernel('cuda', 'MatMul', 17, 'float16')).toBe(true)
  expect(hasKernel('cpu', 'com.microsoft:Gelu', 1, 'float16')).toBe(false)
  expect(hasKernel('cuda', 'com.microsoft:GroupQueryAttention', 1, 'float32')).toBe(false)
  expect(kernelTypes(kernelList('cpu')!, 'Gelu', 20)).toEqual(['float32'])
  expect(kernelTypes(kernelList('coreml')!, 'Gelu', 20)).toBeUndefined()
})

test('integer operators, which most devices lack', () => {
  expect(devices.filter((device) => hasKernel(device, 'ConvInteger', 17))).toEqual(['cpu', 'wasm', 'dml', 'webnn'])
  expect(devices.filter((device) => hasKernel(device, 'DequantizeLinear', 17))).not.toContain('coreml')
})

test('a registry that looks at names alone has the operators of other domains under theirs', () => {
  const text = ['Gelu', 'QuickGelu', 'MatMulNBits'].map((op) => `CreateAnyOpBuilder("${op}", *this)`).join()
  expect([...parseRegistry(text).keys()]).toEqual(['Gelu', 'com.microsoft:Gelu', 'com.microsoft:QuickGelu'])
  expect(hasKernel('qnn', 'com.microsoft:QuickGelu', 1)).toBe(true)
  expect(hasKernel('qnn', 'com.microsoft:MatMulNBits', 1)).toBe(false)
})

test('compilers take no fused operator of ONNX Runtime that they do not know', () => {
  expect(legalityOf('tensorrt')('com.microsoft:BiasGelu', 17, 'float32')).toBe(false)
  expect(legalityOf('cuda')('com.microsoft:BiasGelu', 17, 'float32')).toBe(true)
  expect(legalityOf('coreml')('LayerNormalization', 17, 'float32')).toBe(true)
  expect(legalityOf('coreml')('Gelu', 19, 'float32')).toBe(false)
})

describe('the readers of the lists', () => {
  test('kernels by provider, version and type; a condition is not the operand that counts', () => {
    const text = [
      '## Operators implemented by CPUExecutionProvider',
      '|**Operator Domain:** *ai.onnx*||||',
      '|Where|*in* condition:**B**<br> *in* X:**T**<br> *out* output:**T**|16+|**B** = tensor(bool)<br/> **T** = tensor(float), tensor(double)|',
      '|||[9, 15]|**B** = tensor(bool)<br/> **T** = tensor(float)|',
      '|**Operator Domain:** *com.microsoft*||||',
      '|Gelu|*in* X:**T**<br> *out* Y:**T**|1+|**T** = tensor(float16)|',
      '## Operators implemented by CUDAExecutionProvider',
      '|Abs|*in* X:**T**|13|**T** = tensor(float)|',
    ].join('\n')
    expect([...parseKernelList(text, 'CPUExecutionProvider')]).toEqual([
      [
        'Where',
        [
          { from: 16, types: ['float32', 'float64'] },
          { from: 9, to: 15, types: ['float32'] },
        ],
      ],
      ['com.microsoft:Gelu', [{ from: 1, types: ['float16'] }]],
    ])
    expect([...parseKernelList(text, 'CUDAExecutionProvider').keys()]).toEqual(['Abs'])
    expect(() => parseKernelList(text, 'DmlExecutionProvider')).toThrow('DmlExecutionProvider')
  })

  test('names, registries and matrices', () => {
    expect([...parseNameTable('|ai.onnx:Argmax||\n|ai.onnx.ReduceSum|x|\n|com.microsoft:Gelu||').keys()]).toEqual([
      'ArgMax',
      'ReduceSum',
      'com.microsoft:Gelu',
    ])
    expect([
      ...parseRegistry('CreateSimpleOpBuilder("Add", *this); CreateConvOpBuilder("Conv", *this)').keys(),
    ]).toEqual(['Add', 'Conv'])
    expect([...parseTensorRt('| Abs | Y | FP32, INT64 |\n| Det | N |')]).toEqual([
      ['Abs', [{ from: 1, types: ['float32', 'int64'] }]],
    ])
  })
})
