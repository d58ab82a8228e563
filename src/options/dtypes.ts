import type { Bundle } from './presets.ts'

/** Takes back every change of precision. */
const FLOAT32: Bundle = {
  quantize: undefined,
  precision: undefined,
  bits: undefined,
  blockSize: undefined,
  symmetric: undefined,
  embeddings: undefined,
  scaleType: undefined,
  mixedBits: undefined,
  weightType: undefined,
  bnbType: undefined,
}

/** Blocks of 32 weights of 4 bits with a scale and no zero point; tables of Gather stay float. */
const BLOCKS: Bundle = {
  ...FLOAT32,
  quantize: 'weights',
  bits: 4,
  blockSize: 32,
  symmetric: true,
  embeddings: false,
  scaleType: 'float32',
  mixedBits: false,
}

/** A precision by its Hugging Face name: the parameters it stands for, and the suffix of the file name. */
export interface DtypeRecipe {
  params: Bundle
  suffix: string
}

/** The published recipes of the transformers.js models. A q8 whose weight type is not set takes the one that the model's operators run with. */
export const DTYPES_BY_NAME: Readonly<Record<string, DtypeRecipe>> = {
  fp32: { params: FLOAT32, suffix: '' },
  fp16: { params: { ...FLOAT32, precision: 'float16' }, suffix: '_fp16' },
  q8: { params: { ...FLOAT32, quantize: 'dynamic' }, suffix: '_quantized' },
  int8: { params: { ...FLOAT32, quantize: 'dynamic', weightType: 'int8' }, suffix: '_int8' },
  uint8: { params: { ...FLOAT32, quantize: 'dynamic', weightType: 'uint8' }, suffix: '_uint8' },
  q4: { params: BLOCKS, suffix: '_q4' },
  q4f16: { params: { ...BLOCKS, precision: 'float16' }, suffix: '_q4f16' },
  bnb4: { params: { ...FLOAT32, quantize: 'bnb4', bnbType: 'nf4', blockSize: 64 }, suffix: '_bnb4' },
}
