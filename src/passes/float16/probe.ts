import { modelToProto } from '../../graph/export.ts'
import type { Model } from '../../graph/model.ts'
import { Model as NewModel } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import type { DType } from '../../onnx/dtypes.ts'
import { encodeToBytes } from '../../onnx/encode.ts'
import type { OrtService } from '../../ort/service.ts'
import { openSession } from '../../ort/session.ts'
import { halfAttributes } from './retarget.ts'

/** How a node takes float16. */
export interface Acceptance {
  /** By input: true if a float32 input becomes float16. */
  inputs: readonly boolean[]
  /** By output: true if a float32 output becomes float16. */
  outputs: readonly boolean[]
}

/**
 * Asks ONNX Runtime which inputs and outputs of an operator may be float16, by opening models of one node. So the answer
 * follows the operator's version and needs no table of types: an input that must stay float32 (the scales of Resize) is found
 * from the error that names it. Answers are remembered by operator, types and type attributes.
 */
export class Prober {
  readonly #model: Model
  readonly #known = new Map<string, Acceptance | undefined>()
  readonly #trusted: boolean

  /** `device` decides about operators that have a float32 kernel but no float16 one on the CPU: elsewhere they are trusted. */
  constructor(model: Model, _ort: OrtService, device: string) {
    this.#model = model
    this.#trusted = device !== 'cpu' && device !== 'wasm'
  }

  /** How `node` takes float16, or undefined if it can't. */
  async accepts(node: Node): Promise<Acceptance | undefined> {
    if (node.inputs.some((value) => value && !value.dtype)) return undefined
    const types = node.inputs.map((value) => value?.dtype ?? '')
    const attributes = ['to', 'dtype', 'stash_type', 'output_dtype', 'output_datatype', 'training_mode'].map((name) =>
      node.int(name),
    )
    const key = [
      node.qualifiedType,
      ...types,
      '>',
      ...node.outputs.map((value) => value?.dtype ?? ''),
      ...attributes,
    ].join()
    if (!this.#known.has(key)) this.#known.set(key, await this.#ask(node, types))
    return this.#known.get(key)
  }

  async #ask(node: Node, types: readonly (DType | '')[]): Promise<Acceptance | undefined> {
    const inputs = types.map((dtype) => dtype === 'float32')
    for (let attempt = 0; attempt <= types.length; attempt++) {
      const answer = await this.#open(node, types, inputs)
      if ('outputs' in answer) return { inputs, outputs: answer.outputs }
      // "Type 'tensor(float16)' of input parameter (i2) of operator (Resize) ... is invalid."
      const refused = /input parameter \(i(\d+)\)/.exec(answer.error)
      if (refused && inputs[Number(refused[1])]) {
        inputs[Number(refused[1])] = false
        continue
      }
      if (!/Could not find an implementation|NOT_IMPLEMENTED/.test(answer.error)) return undefined
      // The types are fine, the kernel is missing. If it is missing for float32 too, the target has its own.
      const float =
        this.#trusted ||
        'error' in
          (await this.#open(
            node,
            types,
            types.map(() => false),
          ))
      return float ? { inputs, outputs: node.outputs.map((value) => value?.dtype === 'float32') } : undefined
    }
    return undefined
  }

  async #open(
    node: Node,
    types: readonly (DType | '')[],
    half: readonly boolean[],
  ): Promise<{ outputs: boolean[] } | { error: string }> {
    const model = new NewModel({ irVersion: this.#model.irVersion, name: 'probe' })
    for (const [domain, version] of this.#model.opsets) model.opsets.set(domain, version)
    const inputs = types.map((dtype, i) => {
      if (dtype === '') return null
      const constant = node.input(i)?.constant
      // Small integers (shapes, axes) are given, since operators check them.
      if (constant && dtype === 'int64' && constant.byteLength <= 1024)
        return model.graph.addInitializer(`i${i}`, constant)
      return model.graph.addInput(`i${i}`, { kind: 'tensor', dtype: half[i] ? 'float16' : dtype })
    })
    const attributes = Object.fromEntries(
      half.some(Boolean) || !half.length || !types.includes('float32')
        ? [...node.attributes, ...halfAttributes(node)]
        : node.attributes,
    )
    const outputs = node.outputs.map((value, i) => (value ? `o${i}` : null))
    const probe = model.graph.insert({ op: node.opType, domain: node.domain, inputs, attributes, outputs })
    for (const value of probe.outputs) if (value) model.graph.addOutput(value)
    const proto = modelToProto(model)
    const { functions } = modelToProto(this.#model)
    if (functions) proto.functions = functions
    try {
      const session = await openSession(encodeToBytes(proto), { intraOpNumThreads: 1, interOpNumThreads: 1 })
      const found = new Map(session.outputs.map((output) => [output.name, output.isTensor ? output.type : '']))
      await session.release()
      return { outputs: node.outputs.map((value, i) => value?.dtype === 'float32' && found.get(`o${i}`) === 'float16') }
    } catch (error) {
      return { error: (error as Error).message }
    }
  }
}
