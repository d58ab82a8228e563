import type { Model } from '../../graph/model.ts'
import { Tensor } from '../../graph/tensor.ts'
import { tensorType } from '../../graph/types.ts'
import type { Value } from '../../graph/value.ts'
import { OnnxError } from '../../onnx/errors.ts'
import type { PassContext, PassResult } from '../pass.ts'
import { type Dora, setShift, shiftOf } from './dora.ts'
import { type Layer, RANK, readAdapterFor, SHIFT, type Slot, slotsOf } from './files.ts'
import { type Branch, findBranches } from './find.ts'
import { type AdapterOptions, locate } from './index.ts'
import { dropUnused, type Linear, linearOf, setWeight, weightOf } from './linear.ts'
import { findHada, HADA, type Hada } from './loha.ts'
import { nameBranch } from './names.ts'
import { packInputs } from './pack.ts'
import { dequantize, floatWeight } from './quantized.ts'

/**
 * Makes inputs of the weights of LoRA, DoRA and LoHa layers. Until the model is written they keep their data as default values, so that
 * passes that run it need not know. The factor of each layer becomes part of its B, so that adapters of any alpha and rank
 * fit.
 *
 * @throws OnnxError `ADAPTER_NOT_FOUND`, `ADAPTER_DUPLICATE`, or what reading further adapters throws
 */
export async function run(model: Model, options: AdapterOptions, context: PassContext): Promise<PassResult> {
  const { graph } = model
  const place = { file: context.file }
  const branches = findBranches(graph).map((branch, i) => ({ branch, ...nameBranch(branch, i) }))
  const hadas = findHada(graph)
  if (!branches.length && !hadas.length) throw notFound(model, context.file)
  const names = new Set([...branches, ...hadas].map(({ adapter }) => adapter))
  const seen = new Set<string>()
  for (const { layer } of [...branches, ...hadas]) {
    if (seen.has(layer))
      throw new OnnxError('ADAPTER_DUPLICATE', `the layer "${layer}" has more than one adapter`, {
        place,
        hint: 'Export the model with one active adapter, and give the others as adapter_files.',
      })
    seen.add(layer)
  }
  const shifts = new Map<Branch, Tensor>()
  for (const { branch, layer } of branches) {
    if (!branch.dora) continue
    const shift = await shiftOf(branch.dora, branch.b, context.ort)
    if (!shift)
      throw new OnnxError(
        'ADAPTER_NOT_FOUND',
        `the layer "${layer}" multiplies its branch by a vector, and not as DoRA`,
        {
          place,
          hint: 'DoRA adds (m - 1) times the base and m times the branch to the base. Merge the adapter before the export.',
        },
      )
    shifts.set(branch, shift)
  }
  makeOverridable(model)
  for (const { branch } of branches) {
    branch.a = await dequantize(branch.a, context.ort)
    branch.b = await dequantize(branch.b, context.ort)
  }
  const inputs = new Map<Value, Value>()
  const layers: Layer[] = []
  for (const { branch, layer } of branches) {
    unscale(branch)
    const slot = (linear: Linear, kind: 'A' | 'B', factor: number): Slot => {
      const rankAxis = kind === 'A' ? 1 : 0
      const { weight } = linear
      const tensor = weightOf(linear, factor)
      // Branches of several layers may share a weight: it is an input once.
      const known = factor === 1 ? inputs.get(weight) : undefined
      const input = known ?? addInput(model, `${layer}.lora_${kind}.weight`, tensor, rankAxis)
      if (factor === 1) inputs.set(weight, input)
      setWeight(linear, input)
      return { name: input.name, kind: `lora_${kind}`, like: tensor, rankAxis }
    }
    const shift = shifts.get(branch)
    const frozen = shift && options.adapterFiles && branch.base ? linearOf(branch.base, { bias: true }) : undefined
    // Read before the vector's own computation goes, which reads the same.
    const weight = frozen && (await floatWeight(frozen, context.ort))
    const factors = [slot(branch.a, 'A', 1), slot(branch.b, 'B', branch.scale)]
    layers.push({
      name: layer,
      factors,
      ...(shift ? { shift: addShift(model, `${layer}${SHIFT}`, branch.dora!, shift) } : {}),
      ...(weight ? { weight } : {}),
    })
  }
  for (const hada of hadas) layers.push(takeHada(model, hada))
  const slots = [...new Map(layers.flatMap(slotsOf).map((slot) => [slot.name, slot])).values()]
  const own = options.adapterName ?? (names.size === 1 ? [...names][0]! : 'default')
  const adapters = [{ name: own, tensors: new Map(slots.map(({ name, like }) => [name, like])) }]
  for (const [name, path] of Object.entries(options.adapterFiles ?? {})) {
    if (name === own)
      throw new OnnxError('ADAPTER_DUPLICATE', `there are two adapters of the name "${name}"`, {
        place,
        hint: 'The one in the model has it already: set adapter_name, or give the file another name.',
      })
    adapters.push({ name, tensors: readAdapterFor(layers, locate(path, context.file)) })
  }
  const packing = options.pack ? packInputs(model, slots) : undefined
  return {
    changes: layers.length,
    adapters: {
      format: options.adapterFormat,
      inputs: packing?.inputs ?? slots.map(({ name }) => name),
      adapters: adapters.map(({ name, tensors }) => ({ name, tensors: packing?.pack(tensors) ?? tensors })),
    },
    data: { layers: layers.length, adapters: adapters.map(({ name }) => name) },
  }
}

function addInput(model: Model, name: string, tensor: Tensor, rankAxis: number | undefined): Value {
  const dims = tensor.dims.map((dim, axis) => (axis === rankAxis ? RANK : dim))
  const input = model.graph.addInput(model.names.fresh(name), tensorType(tensor.dtype, dims))
  model.graph.setInitializer(input, tensor)
  return input
}

function addShift(model: Model, name: string, dora: Dora, tensor: Tensor): Slot {
  const input = addInput(model, name, tensor, undefined)
  setShift(dora, input)
  return { name: input.name, kind: 'dora_M', like: tensor, rankAxis: undefined }
}

/** Makes inputs of the four factors of a LoHa layer. */
function takeHada(model: Model, { layer, products, scale, scalings }: Hada): Layer {
  unscale({ scalings })
  const factors = HADA.map(([kind, rankAxis], at): Slot => {
    const node = products[at < 2 ? 0 : 1]
    const old = node.input(at % 2)!
    const given = old.constant!
    const tensor =
      at || scale === 1
        ? given
        : Tensor.from(
            given.dtype!,
            given.dims,
            given.toNumbers().map((value) => value * scale),
          )
    const input = addInput(model, `${layer}.${kind}`, tensor, rankAxis)
    node.setInput(at % 2, input)
    dropUnused(old)
    return { name: input.name, kind, like: tensor, rankAxis }
  })
  return { name: layer, factors }
}

/** Takes the products with the scale out. */
function unscale({ scalings }: Pick<Branch, 'scalings'>): void {
  for (const node of scalings) {
    const { graph } = node
    const source = node.inputs.find((value) => value && !value.constant)!
    const factor = node.inputs.find((value) => value?.constant)!
    graph.replace(node.output(), source)
    graph.remove(node)
    dropUnused(factor)
  }
}

/** Before IR version 4 all initializers stood among the inputs: from then on that would let callers replace them. */
export function makeOverridable(model: Model): void {
  if (model.initializersAreOverridable) return
  for (const input of [...model.graph.inputs]) if (input.tensor || input.sparse) model.graph.removeInput(input)
  model.irVersion = 4
}

function notFound(model: Model, file: string): OnnxError {
  const values = [...model.graph.initializers].map(({ name }) => name)
  const kinds = { DoRA: /lora_magnitude_vector|dora_/, LoHa: /hada_w\d/ }
  const [kind] = Object.entries(kinds).find(([, pattern]) => values.some((name) => pattern.test(name))) ?? []
  return new OnnxError(
    'ADAPTER_NOT_FOUND',
    kind ? `the model has ${kind} weights, but no layer that can be taken out` : 'the model has no LoRA layers',
    {
      place: { file },
      hint: kind
        ? 'Their form is not known. Merge the adapter before the export, or leave `adapters` out.'
        : 'They are looked for as x·A·B, with A and B constant and of low rank, added to the product of x and a frozen weight. Were they merged before the export?',
    },
  )
}
