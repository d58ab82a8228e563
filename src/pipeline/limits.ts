import { dirname } from 'node:path'
import type { Model } from '../graph/model.ts'
import type { Node } from '../graph/node.ts'
import type { Value } from '../graph/value.ts'
import { type OperatorTable, operatorTable } from '../lint/operators.ts'
import { bytesOf, megabytes } from '../lint/sizes.ts'
import type { Note } from '../passes/pass.ts'

/** What every WebGPU adapter has, by the standard. */
const GUARANTEED = {
  maxBufferSize: 268_435_456,
  maxStorageBufferBindingSize: 134_217_728,
  maxStorageBuffersPerShaderStage: 8,
} as const

/** Bindings begin at multiples of this. */
const ALIGNMENT = 256

/** WebGPU limits, and how large they must be. */
export type WebGpuLimits = Partial<Record<keyof typeof GUARANTEED, number>>

/**
 * The WebGPU limits that a model needs beyond what every adapter has: ONNX Runtime opens a session without them, and the
 * first run fails.
 *
 * A tensor is one buffer. One that is larger than a binding is bound in several pieces, of which an operator can have
 * as many as a shader has storage buffers, less one for each of its other operands. Operators that WebGPU has no kernel for stay
 * on the CPU, with what they alone read. Tensors whose size is not known before a run are not counted.
 *
 * @returns undefined where every adapter will do
 */
export function webgpuLimits(model: Model): WebGpuLimits | undefined {
  let table: OperatorTable | undefined
  let buffer = 0
  let binding = 0
  for (const node of model.allNodes()) {
    const operands = operandsOf(node)
    const largest = Math.max(0, ...operands.map(sizeOf))
    if (largest <= GUARANTEED.maxStorageBufferBindingSize) continue
    table ??= operatorTable('webgpu', dirname(model.file ?? '.'))
    if (!table?.has(node.domain, node.opType, model.opsets.get(node.domain) ?? 1)) continue
    buffer = Math.max(buffer, largest)
    const pieces = Math.max(1, GUARANTEED.maxStorageBuffersPerShaderStage - (operands.length - 1))
    binding = Math.max(binding, Math.ceil(largest / pieces / ALIGNMENT) * ALIGNMENT)
  }
  const limits: WebGpuLimits = {
    ...(buffer > GUARANTEED.maxBufferSize ? { maxBufferSize: buffer } : {}),
    ...(binding > GUARANTEED.maxStorageBufferBindingSize ? { maxStorageBufferBindingSize: binding } : {}),
  }
  return Object.keys(limits).length ? limits : undefined
}

/** Says in the report of a build which machines the wrapper will not run the model on. */
export function limitsNote(limits: WebGpuLimits): Note {
  const needs = Object.entries(limits).map(([name, least]) => `${name} of ${megabytes(least)}`)
  const message = `webgpu: adapters without ${needs.join(' and ')} can't run the model; the wrapper leaves them to the next target`
  return { level: 'info', code: 'webgpu/limits', message }
}

/** Bytes of a value on the device, as far as they are known. */
function sizeOf(value: Value): number {
  return value.constant?.byteLength ?? bytesOf(value) ?? 0
}

/** The tensors that a node needs on the device. */
function operandsOf(node: Node): Value[] {
  // What depends on constants alone is computed on the CPU when the session is made; quantized weights stay as they are.
  if (dependsOnConstants(node)) return node.opType === 'DequantizeLinear' ? node.inputs.filter(isThere) : []
  const operands = [...node.inputs, ...node.outputs].filter(isThere)
  // Whether such weights are ever there as floats is up to ONNX Runtime's fusions.
  return [...new Set(operands)].filter(
    ({ producer }) => producer?.opType !== 'DequantizeLinear' || !dependsOnConstants(producer),
  )
}

function dependsOnConstants(node: Node): boolean {
  return node.inputs.every((value) => !value || value.constant !== undefined)
}

function isThere(value: Value | null): value is Value {
  return value !== null
}
