import { dirname } from 'node:path'
import type { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import { type OperatorTable, operatorTable } from '../../lint/operators.ts'
import { OnnxError } from '../../onnx/errors.ts'
import type { PassContext, PassResult } from '../pass.ts'
import { isQuantizedOp } from '../quantize/already.ts'
import type { LegalityOptions } from './index.ts'

/** What can be done instead, by device. Devices that are not here run everything. */
const INSTEAD: Readonly<Record<string, string>> = {
  webgpu: 'dtype=fp16 or dtype=q4f16',
  webnn: 'dtype=fp16, dtype=q8, dtype=q4 or preset=webnn',
  cuda: 'dtype=fp16, dtype=q4 or quantize=static',
  dml: 'dtype=fp16, dtype=q8 or dtype=q4',
  coreml: 'dtype=fp16 (preset=coreml)',
  qnn: 'preset=qnn',
  tensorrt: 'dtype=fp16 or preset=tensorrt',
}

/** Devices of onnxruntime-web, into which nobody can load more operators. */
const WEB = new Set(['wasm', 'webgpu', 'webnn'])
/** Domains of operators that builds of ONNX Runtime have. */
const DOMAINS = new Set([
  '',
  'ai.onnx',
  'ai.onnx.ml',
  'ai.onnx.training',
  'ai.onnx.preview.training',
  'com.microsoft',
  'com.microsoft.nchwc',
  'com.ms.internal.nhwc',
])

/** See `legality`. */
export function run(model: Model, options: LegalityOptions, context: PassContext): PassResult {
  if (WEB.has(context.device)) checkDomains(model, options, context)
  if (options.quantize !== 'none') checkKernels(model, options, context)
  return { changes: 0 }
}

/** Operators of other domains come from libraries, such as onnxruntime-extensions, which a page cannot load. */
function checkDomains(model: Model, { legality }: LegalityOptions, { device, note }: PassContext): void {
  const own = new Set(model.functions.map(({ domain, name }) => `${domain}:${name}`))
  const custom = new Map<string, string>()
  for (const { domain, opType, label } of model.allNodes())
    if (!DOMAINS.has(domain) && !own.has(`${domain}:${opType}`)) custom.set(`${domain}:${opType}`, label)
  const [first] = custom.values()
  if (first === undefined) return
  const what = `onnxruntime-web has no ${[...custom.keys()].sort().join(', ')}, and takes no libraries of operators (${device})`
  const hint = `Export the model without them: ${
    [...custom.keys()].some((name) => name.startsWith('ai.onnx.contrib:'))
      ? 'preprocess and postprocess add images, sound, tokens and boxes with standard operators.'
      : 'in standard operators.'
  }`
  if (legality === 'error')
    throw new OnnxError('LEGALITY', what, {
      place: { node: first },
      hint: `${hint} legality=warn builds it all the same.`,
    })
  note({ level: 'warn', code: 'legality/custom-operator', message: `${what}. ${hint}`, node: first })
}

/** Quantized operators without a kernel on the device run on the CPU. */
function checkKernels(model: Model, { legality }: LegalityOptions, { device, file, note }: PassContext): void {
  const instead = INSTEAD[device]
  if (instead === undefined) return
  const table = operatorTable(device, dirname(file))
  const missing = new Map<string, string>()
  for (const node of model.graph.allNodes())
    if (isQuantizedOp(node) && !runs(node, device, model.opset, table)) missing.set(describe(node), node.label)
  const [first] = missing.values()
  if (first === undefined) return
  const source = table ? ` (${table.source})` : ''
  const what = `${device} has no ${[...missing.keys()].sort().join(', ')}${source}: they would run on the CPU, with copies back and forth`
  if (legality === 'error')
    throw new OnnxError('LEGALITY', what, {
      place: { node: first },
      hint: `For ${device} use ${instead}; legality=warn builds it all the same.`,
    })
  note({ level: 'warn', code: 'legality/no-kernel', message: `${what}. Use ${instead}.`, node: first })
}

function runs(node: Node, device: string, opset: number, table: OperatorTable | undefined): boolean {
  if (device === 'webnn' && isTwoBits(node)) return false
  return !table || table.has(node.domain, node.opType, opset)
}

/** WebNN takes apart blocks of 4 and 8 bits only. */
function isTwoBits(node: Node): boolean {
  return node.opType === 'MatMulNBits' && node.int('bits', 4) === 2
}

function describe(node: Node): string {
  return isTwoBits(node) ? `${node.opType} of 2 bits` : node.opType
}
