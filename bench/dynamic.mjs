// Dynamic int8 quantization. Use: npm run bench -- dynamic [--runs 5] [MODEL...]      (default: minilm bert-base)
import { benchBuilds } from './support/builds.mjs'

const job = (...args) => ({ 'Python peer': ['dynamic', ...args] })
const SETTINGS = [
  { name: 'dynamic int8 per tensor', ours: ['--quantize', 'dynamic', '--no-per-channel'], peers: job() },
  { name: 'dynamic int8 per channel', ours: ['--quantize', 'dynamic', '--per-channel'], peers: job('per_channel=1') },
]

export const run = (options) => benchBuilds(SETTINGS, options)
