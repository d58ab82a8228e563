// Conversion to float16. Use: npm run bench -- float16 [--runs 5] [MODEL...]      (default: minilm bert-base)
import { benchBuilds } from './support/builds.mjs'

const SETTINGS = [
  {
    name: 'float16',
    ours: ['--precision', 'float16', '--optimize', 'none'],
    peers: { onnxruntime: ['fp16'], 'onnxconverter-common': ['fp16-common'] },
  },
]

export const run = (options) => benchBuilds(SETTINGS, options)
