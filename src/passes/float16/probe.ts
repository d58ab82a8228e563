import { modelToProto } from '../../graph/export.ts'
import { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import type { DType } from '../../onnx/dtypes.ts'
import { encodeToBytes } from '../../onnx/encode.ts'
import { openSession } from '../../ort/session.ts'
import { runsInBfloat16, WRITTEN_OUT } from './bfloat16.ts'
import type { HalfType } from './constants.ts'
import { halfAttributes } from './retarget.ts'

/** How a node takes float16. */
export interface Acceptance {
  /** By input: true if a float32 input becomes float16. */
  inputs: readonly boolean[]
  /** By output: true if a float32 output becomes float16. */
  outputs: readonly boolean[]
}

/** Attributes that decide about types. */
const TYPE_ATTRIBUTES = ['to', 'dtype', 'stash_type', 'output_dtype', 'output_datatype', 'training_mode']

/** A question on its way: one node in the model that ONNX Runtime is given. */
interface Probe {
  readonly key: string
  readonly name: string
  readonly node: Node
  readonly types: readonly (DType | '')[]
  /** By input: true if it is tried as float16. */
  readonly half: boolean[]
  /** True while it is asked whether there is a float32 kernel at all. */
  asFloat: boolean
}

/**
 * Asks ONNX Runtime which inputs and outputs of operators may be float16, by opening a model that has one node of each kind.
 * So the answer follows the operators' versions and needs no table of types: an input that must stay float32 (the scales of
 * Resize) is found from the error that names it. Answers are remembered by operator, types and type attributes.
 */
export class Prober {
  readonly #model: Model
  readonly #known = new Map<string, Acceptance | undefined>()
  readonly #trusted: boolean
  readonly #staysFloat: (node: Node, index: number) => boolean
  readonly #type: HalfType
  /** How many sessions were opened. */
  sessions = 0

  /**
   * @param device decides about operators that have a float32 kernel but no float16 one on the CPU: elsewhere they are trusted
   * @param staysFloat inputs that are not even tried
   * @param type what is asked for: float16, or bfloat16, of which ONNX Runtime only says here whether operators may have it
   */
  constructor(
    model: Model,
    device: string,
    staysFloat: (node: Node, index: number) => boolean = () => false,
    type: HalfType = 'float16',
  ) {
    this.#type = type
    this.#model = model
    this.#trusted = device !== 'cpu' && device !== 'wasm'
    this.#staysFloat = staysFloat
  }

  /** Finds the answers for many nodes at once. */
  async prepare(nodes: Iterable<Node>): Promise<void> {
    const probes = new Map<string, Probe>()
    for (const node of nodes) {
      const key = keyOf(node)
      if (key === undefined || this.#known.has(key) || probes.has(key)) continue
      if (this.#type === 'bfloat16' && !runsInBfloat16(node, this.#model.opset)) continue
      const types = node.inputs.map((value) => value?.dtype ?? ('' as const))
      const half = types.map((dtype, i) => dtype === 'float32' && !this.#staysFloat(node, i))
      if (this.#type === 'bfloat16' && WRITTEN_OUT.has(node.opType)) {
        this.#known.set(key, { inputs: half, outputs: node.outputs.map((value) => value?.dtype === 'float32') })
        continue
      }
      probes.set(key, { key, name: `probe${probes.size}`, node, types, half, asFloat: false })
    }
    await this.#ask([...probes.values()])
  }

  /** How `node` takes float16, or undefined if it can't. Call `prepare` with it before. */
  accepts(node: Node): Acceptance | undefined {
    const key = keyOf(node)
    return key === undefined ? undefined : this.#known.get(key)
  }

  async #ask(asked: readonly Probe[]): Promise<void> {
    const waiting = new Set(asked)
    while (waiting.size) {
      const answer = await this.#open(waiting)
      if (typeof answer !== 'string') {
        for (const probe of waiting) this.#known.set(probe.key, probe.asFloat ? undefined : answer(probe))
        return
      }
      const guilty = guiltyOf(answer, waiting)
      if (!guilty) {
        for (const probe of waiting) await this.#ask([probe])
        return
      }
      if (this.#continue(guilty, answer)) continue
      waiting.delete(guilty)
    }
  }

  /** Learns from an error about a probe; true if there is more to ask. */
  #continue(probe: Probe, error: string): boolean {
    const { key, node, half } = probe
    // "Type 'tensor(float16)' of input parameter (probe3_i2) of operator (Resize) ... is invalid."
    const refused = Number(/input parameter \(\w+?_i(\d+)\)/.exec(error)?.[1] ?? -1)
    if (!probe.asFloat && half[refused]) {
      half[refused] = false
      return true
    }
    const noKernel = /Could not find an implementation|Failed to find kernel|NOT_IMPLEMENTED/.test(error)
    if (noKernel && !probe.asFloat && !this.#trusted) {
      probe.asFloat = true
      return true
    }
    // The types are fine. Where the kernel is missing for float32 too, the target has its own.
    const outputs = node.outputs.map((value) => value?.dtype === 'float32')
    this.#known.set(key, noKernel ? { inputs: half, outputs } : undefined)
    return false
  }

  /** The answers, or what ONNX Runtime objects to. */
  async #open(probes: Iterable<Probe>): Promise<string | ((probe: Probe) => Acceptance)> {
    const model = new Model({ irVersion: this.#model.irVersion, name: 'probes' })
    for (const [domain, version] of this.#model.opsets) model.opsets.set(domain, version)
    for (const probe of probes) addProbe(model, probe, this.#type)
    const proto = modelToProto(model)
    if (this.#model.functions.length) proto.functions = modelToProto(this.#model).functions ?? []
    this.sessions++
    try {
      const session = await openSession(encodeToBytes(proto), { intraOpNumThreads: 1, interOpNumThreads: 1 })
      const found = new Map(session.outputs.map((output) => [output.name, output.isTensor ? output.type : '']))
      await session.release()
      return ({ name, node, half }) => ({
        inputs: half,
        outputs: node.outputs.map(
          (value, i) => value?.dtype === 'float32' && found.get(`${name}_o${i}`) === this.#type,
        ),
      })
    } catch (error) {
      const { message } = error as Error
      // Node can't say what type an output of bfloat16 has, so there is one, and the model has been loaded.
      if (this.#type === 'bfloat16' && /Unsupported data type: 16\b/.test(message))
        return ({ node, half }) => ({
          inputs: half,
          outputs: node.outputs.map((value) => value?.dtype === 'float32'),
        })
      return message
    }
  }
}

/** What decides about an answer; undefined where the type of an input is not known. */
function keyOf(node: Node): string | undefined {
  const types = node.inputs.map((value) => (value ? value.dtype : ''))
  if (types.includes(undefined)) return undefined
  const outputs = node.outputs.map((value) => value?.dtype ?? '')
  return [
    node.qualifiedType,
    ...types,
    '>',
    ...outputs,
    ...TYPE_ATTRIBUTES.map((name) => node.attributes.get(name)).map((at) => (at?.kind === 'int' ? at.value : '')),
  ].join()
}

function addProbe(model: Model, { name, node, types, half, asFloat }: Probe, type: HalfType): void {
  const inputs = types.map((dtype, i) => {
    if (dtype === '') return null
    const constant = node.input(i)?.constant
    const input = `${name}_i${i}`
    // Small integers (shapes, axes) are given, since operators check them.
    if (constant && dtype === 'int64' && constant.byteLength <= 1024) return model.graph.addInitializer(input, constant)
    return model.graph.addInput(input, { kind: 'tensor', dtype: half[i] && !asFloat ? type : dtype })
  })
  const producesHalf = !asFloat && (half.some(Boolean) || !types.includes('float32'))
  const attributes = Object.fromEntries([...node.attributes, ...(producesHalf ? halfAttributes(node, type) : [])])
  const outputs = node.outputs.map((value, i) => (value ? `${name}_o${i}` : null))
  const probe = model.graph.insert({ op: node.opType, domain: node.domain, inputs, attributes, outputs, name })
  for (const value of probe.outputs) if (value) model.graph.addOutput(value)
}

/** The probe that an error names, or the only one. */
function guiltyOf(error: string, probes: ReadonlySet<Probe>): Probe | undefined {
  if (probes.size === 1) return probes.values().next().value
  const names = new Set([...error.matchAll(/probe\d+/g)].map(([name]) => name))
  return names.size === 1 ? [...probes].find(({ name }) => names.has(name)) : undefined
}
