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

/** See `legality`. */
export function run(model: Model, { legality }: LegalityOptions, { device, file, note }: PassContext): PassResult {
  const instead = INSTEAD[device]
  if (instead === undefined) return { changes: 0 }
  const table = operatorTable(device, dirname(file))
  const missing = new Map<string, string>()
  for (const node of model.graph.allNodes())
    if (isQuantizedOp(node) && !runs(node, device, model.opset, table)) missing.set(describe(node), node.label)
  const [first] = missing.values()
  if (first === undefined) return { changes: 0 }
  const source = table ? ` (${table.source})` : ''
  const what = `${device} has no ${[...missing.keys()].sort().join(', ')}${source}: they would run on the CPU, with copies back and forth`
  if (legality === 'error')
    throw new OnnxError('LEGALITY', what, {
      place: { node: first },
      hint: `For ${device} use ${instead}; legality=warn builds it all the same.`,
    })
  note({ level: 'warn', code: 'legality/no-kernel', message: `${what}. Use ${instead}.`, node: first })
  return { changes: 0 }
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
