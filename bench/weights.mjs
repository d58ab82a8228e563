// Weights of 4 bits: the published recipe, and the default one. Use: npm run bench -- weights [--runs 5] [MODEL...]
import { benchBuilds } from './support/builds.mjs'

const SETTINGS = [
  { name: 'q4, ranges', ours: ['--dtype', 'q4', '--algorithm', 'rtn'], peers: { onnxruntime: ['q4'] } },
  // The peer's HQQ takes PyTorch, which its requirements do not have.
  { name: 'q4, HQQ', ours: ['--dtype', 'q4', '--no-symmetric', '--algorithm', 'hqq'], peers: {} },
  { name: 'bnb4', ours: ['--quantize', 'bnb4'], peers: { onnxruntime: ['bnb4'] } },
  { name: 'default', ours: ['--quantize', 'weights'], peers: { 'onnxruntime (q4)': ['q4'] } },
]

export const run = (options) => benchBuilds(SETTINGS, options)
