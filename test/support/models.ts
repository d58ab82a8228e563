import { modelToProto } from '../../src/graph/export.ts'
import type { Graph } from '../../src/graph/graph.ts'
import { readModelBytes } from '../../src/graph/import.ts'
import { Model } from '../../src/graph/model.ts'
import type { Tensor } from '../../src/graph/tensor.ts'
import { type Dim, tensorType, typeToProto } from '../../src/graph/types.ts'
import type { Value } from '../../src/graph/value.ts'
import type { DType } from '../../src/onnx/dtypes.ts'
import { encodeToBytes } from '../../src/onnx/encode.ts'
import { createOrtService } from '../../src/ort/service.ts'
import type { Note, PassContext } from '../../src/passes/pass.ts'

/** Starts a model: `build(21, (graph, input) => ...)` returns the values that become outputs `y0`, `y1`, ... */
export function buildModel(
  opset: number,
  body: (graph: Graph, input: (name: string, dims: readonly Dim[], dtype?: DType) => Value) => readonly Value[],
  irVersion = 9,
): Model {
  const model = new Model({ opset, irVersion })
  const input = (name: string, dims: readonly Dim[], dtype: DType = 'float32'): Value => {
    model.names.reserve(name)
    return model.graph.addInput(name, tensorType(dtype, dims))
  }
  const outputs = body(model.graph, input)
  for (const value of outputs) model.graph.addOutput(value)
  return model
}

/** The bytes that the model would be written as. */
export function bytesOf(model: Model): Uint8Array {
  return encodeToBytes(modelToProto(model))
}

/** The same model, read anew from its bytes. */
export function copyOf(model: Model): Model {
  return readModelBytes(bytesOf(model))
}

/** A context for running one pass; `notes` collects what it says. */
export function passContext(options: Partial<PassContext> = {}): PassContext & { notes: Note[] } {
  const notes: Note[] = []
  return {
    ort: createOrtService(),
    file: 'model.onnx',
    device: 'cpu',
    threads: 1,
    note: (note) => void notes.push(note),
    progress: () => {},
    notes,
    ...options,
  }
}

/** Runs a model without optimization. */
export async function runModel(model: Model, feeds: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
  return createOrtService().evaluate(model, feeds)
}

/** Largest absolute difference of two results, relative to the larger of 1 and the expected value; infinite if type or shape differ. */
export function difference(actual: Tensor | undefined, expected: Tensor): number {
  if (!actual || actual.dtype !== expected.dtype || actual.dims.join() !== expected.dims.join())
    return Number.POSITIVE_INFINITY
  if (actual.dtype === 'string') return actual.toStrings().join() === expected.toStrings().join() ? 0 : 1
  const [a, b] = [actual.toNumbers(), expected.toNumbers()]
  let worst = 0
  b.forEach((wanted, i) => {
    const got = a[i]!
    if (Object.is(got, wanted) || got === wanted) return
    const error = Math.abs(got - wanted) / Math.max(1, Math.abs(wanted))
    worst = Math.max(worst, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error)
  })
  return worst
}

/** Names, order, types and documentation of inputs and outputs, as JSON. */
export function signatureOf(model: Model): string {
  const describe = (value: Value): unknown => [
    value.name,
    value.type && typeToProto(value.type),
    value.extra?.docString,
  ]
  const inputs = model.graph.inputs.filter((value) => !value.tensor || model.initializersAreOverridable)
  return JSON.stringify({
    inputs: inputs.map(describe),
    outputs: model.graph.outputs.map(describe),
    metadata: [...model.metadata],
  })
}
