import type { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import { Tensor } from '../../graph/tensor.ts'
import { type Dim, tensorType } from '../../graph/types.ts'
import type { Value } from '../../graph/value.ts'
import { DELTA, type Delta } from './delta.ts'
import { type DoraFactors, setFactors, setShift } from './dora.ts'
import { type Layer, RANK, SHIFT, type Slot } from './files.ts'
import type { Branch } from './find.ts'
import { dropUnused, setWeight, weightOf } from './linear.ts'
import { HADA, type Hada } from './loha.ts'

interface Factor {
  slot: Slot
  input: Value
}

/**
 * Makes inputs of the weights of adapter layers. Until the model is written they keep their data as default values, so that
 * passes that run it need not know. The scale of a layer becomes part of one factor, so that adapters of any alpha fit.
 *
 * With `isExact` the model computes the same to the last bit: what can't be moved into another weight without rounding is a
 * weight of the adapter by itself. Shapes are fixed then.
 */
export class LayerTaker {
  readonly #model: Model
  readonly #isExact: boolean
  /**
   * The weights of branches so far: layers that are one have both in common. Where only one is the same, as all B of an adapter that
   * was never trained are, it is so by chance.
   */
  readonly #taken: { layer: string; a: Value; b: Value; factor: number; slots: readonly [Factor, Factor] }[] = []

  constructor(model: Model, { isExact }: { isExact: boolean }) {
    this.#model = model
    this.#isExact = isExact
  }

  /** Takes out a LoRA layer, or a DoRA layer with its vectors. */
  branch(branch: Branch, layer: string, dora: DoraFactors | undefined): Layer {
    const { a, b } = branch
    dropRoundings(branch.roundings)
    const scale = this.#scale(branch.scalings, layer)
    const factor = scale.factor * a.alpha * b.alpha
    const tied = this.#taken.find(
      (one) => one.layer === layer || (one.a === a.weight && one.b === b.weight && one.factor === factor),
    )
    const taken = tied ?? {
      layer,
      a: a.weight,
      b: b.weight,
      factor,
      slots: [
        this.#factor(`${layer}.lora_A.weight`, 'lora_A', weightOf(a, 1), 1),
        this.#factor(`${layer}.lora_B.weight`, 'lora_B', weightOf(b, factor), 0),
      ] as const,
    }
    if (!tied) this.#taken.push(taken)
    const [slotA, slotB] = taken.slots
    setWeight(a, slotA.input)
    setWeight(b, slotB.input)
    return {
      name: layer,
      factors: [slotA.slot, slotB.slot],
      ...(dora ? this.#vectors(branch, layer, dora) : {}),
      constants: scale.slots,
    }
  }

  /** Takes out a LoHa layer. */
  hada({ layer, products, scalings, roundings }: Hada): Layer {
    dropRoundings(roundings)
    const scale = this.#scale(scalings, layer)
    const factors = HADA.map(([kind, rankAxis], at): Slot => {
      const node = products[at < 2 ? 0 : 1]
      const old = node.input(at % 2)!
      const given = old.constant!
      const tensor = at || scale.factor === 1 ? given : times(given, scale.factor)
      const { slot, input } = this.#factor(`${layer}.${kind}`, kind, tensor, rankAxis)
      node.setInput(at % 2, input)
      dropUnused(old)
      return slot
    })
    return { name: layer, factors, constants: scale.slots }
  }

  /** Takes out the matrix that an adapter was folded to. */
  delta({ layer, product, roundings }: Delta): Layer {
    dropRoundings(roundings)
    const like = weightOf(product, product.alpha)
    const input = this.#input(`${layer}${DELTA}`, like)
    setWeight(product, input)
    return { name: layer, factors: [], constants: [{ name: input.name, kind: 'delta', like, rankAxis: undefined }] }
  }

  #factor(name: string, kind: string, tensor: Tensor, rankAxis: number): Factor {
    const input = this.#input(name, tensor, rankAxis)
    return { slot: { name: input.name, kind, like: tensor, rankAxis }, input }
  }

  #vectors({ dora }: Branch, layer: string, { shift, factor }: DoraFactors): Pick<Layer, 'shift' | 'multiplier'> {
    const input = this.#input(`${layer}${SHIFT}`, shift)
    const slot = { name: input.name, kind: 'dora_M', like: shift, rankAxis: undefined }
    if (!this.#isExact) {
      setShift(dora!, input)
      return { shift: slot }
    }
    // The sum of the shift and one may be rounded.
    const other = this.#input(`${layer}.dora_factor.weight`, factor)
    setFactors(dora!, input, other)
    return { shift: slot, multiplier: { name: other.name, kind: 'dora_factor', like: factor, rankAxis: undefined } }
  }

  /** Takes products with the scale out, or makes weights of their constants where moving these would round. */
  #scale(scalings: readonly Node[], layer: string): { factor: number; slots: Slot[] } {
    const constants = scalings.map((node) => node.inputs.find((value) => value?.constant)!)
    if (this.#isExact && !constants.every((value) => isPowerOfTwo(value.constant!.scalar()!)))
      return {
        factor: 1,
        slots: scalings.map((node, at) => {
          const old = constants[at]!
          const like = old.constant!
          const input = this.#input(`${layer}.scale${at || ''}`, like)
          node.setInput(node.inputs.indexOf(old), input)
          dropUnused(old)
          return { name: input.name, kind: 'scale', like, rankAxis: undefined, fill: 1 }
        }),
      }
    let factor = 1
    scalings.forEach((node, at) => {
      const constant = constants[at]!
      const value = constant.constant!.scalar()!
      factor *= node.is('Div') ? 1 / value : value
      const source = node.inputs.find((one) => one && !one.constant)!
      const { graph } = node
      graph.replace(node.output(), source)
      graph.remove(node)
      dropUnused(constant)
    })
    return { factor, slots: [] }
  }

  #input(name: string, tensor: Tensor, rankAxis?: number): Value {
    const dims = tensor.dims.map((dim, axis): Dim => (!this.#isExact && axis === rankAxis ? RANK : dim))
    const input = this.#model.graph.addInput(this.#model.names.fresh(name), tensorType(tensor.dtype, dims))
    this.#model.graph.setInitializer(input, tensor)
    return input
  }
}

/** Values are no longer quantized where an adapter computes them. */
function dropRoundings(nodes: readonly Node[]): void {
  for (const node of nodes) {
    if (!node.isLinked) continue
    const [value, ...constants] = node.inputs
    const { graph } = node
    graph.replace(node.output(), value!)
    graph.remove(node)
    for (const constant of constants) if (constant) dropUnused(constant)
  }
}

function times(tensor: Tensor, factor: number): Tensor {
  const values = tensor.toNumbers().map((value) => value * factor)
  return Tensor.from(tensor.dtype!, tensor.dims, values)
}

/** Products with these are exact. */
function isPowerOfTwo(value: number): boolean {
  return value !== 0 && Number.isInteger(Math.log2(Math.abs(value)))
}
