import { inlineFunctions } from '../../graph/inline-functions.ts'
import type { LocalFunction, Model } from '../../graph/model.ts'
import { OnnxError } from '../../onnx/errors.ts'
import type { PassContext, PassResult } from '../pass.ts'
import { findDeltas } from './delta.ts'
import { type DoraFactors, factorsOf } from './dora.ts'
import { type Layer, readAdapterFor, slotsOf } from './files.ts'
import { type Branch, findBranches } from './find.ts'
import { type AdapterOptions, locate } from './index.ts'
import { isSameWeight, linearOf } from './linear.ts'
import { findHada } from './loha.ts'
import { nameBranch } from './names.ts'
import { packInputs } from './pack.ts'
import { dequantize, dequantizeFactor, dequantizeOperands, floatWeight } from './quantized.ts'
import { alignRanks } from './ranks.ts'
import { LayerTaker } from './take.ts'

const PRODUCTS = new Set(['MatMul', 'Gemm', 'MatMulNBits'])

/**
 * Makes inputs of the weights of LoRA, DoRA and LoHa layers, or, where they are to be external, values that are written as
 * initializers with their data in the file of an adapter.
 *
 * @throws OnnxError `ADAPTER_NOT_FOUND`, `ADAPTER_DUPLICATE`, or what reading further adapters throws
 */
export async function run(model: Model, options: AdapterOptions, context: PassContext): Promise<PassResult> {
  const place = { file: context.file }
  // Some exporters write each module of the framework as a function.
  inlineFunctions(model, { wants: hasProduct })
  const nodes = [...model.graph.allNodes()]
  const branches = findBranches(nodes).map((branch, i) => ({ branch, ...nameBranch(branch, i) }))
  const hadas = findHada(nodes)
  const deltas = findDeltas(nodes)
  const found = [...branches, ...hadas, ...deltas]
  if (!found.length) throw notFound(model, context.file)
  const names = new Set(found.map(({ adapter }) => adapter))
  const seen = new Map<string, Branch | undefined>()
  for (const { layer, ...one } of found) {
    const branch = 'branch' in one ? one.branch : undefined
    const before = seen.get(layer)
    if (seen.has(layer) && !(branch && before && isSameLayer(branch, before)))
      throw new OnnxError('ADAPTER_DUPLICATE', `the layer "${layer}" has more than one adapter`, {
        place,
        hint: 'Export the model with one active adapter, and give the others as adapter_files.',
      })
    seen.set(layer, branch)
  }
  const vectors = new Map<Branch, DoraFactors>()
  for (const { branch, layer } of branches) {
    if (!branch.dora) continue
    const factors = await factorsOf(branch.dora, branch.b, context.ort)
    if (!factors)
      throw new OnnxError(
        'ADAPTER_NOT_FOUND',
        `the layer "${layer}" multiplies its branch by a vector, and not as DoRA`,
        {
          place,
          hint: 'DoRA adds (m - 1) times the base and m times the branch to the base. Merge the adapter before the export.',
        },
      )
    vectors.set(branch, factors)
  }
  makeOverridable(model)
  for (const node of [...branches.map(({ branch }) => branch), ...hadas].flatMap(({ scalings }) => scalings))
    await dequantizeFactor(node, context.ort)
  const isExternal = options.adapters === 'external'
  const taker = new LayerTaker(model, { isExact: isExternal })
  const layers: Layer[] = []
  for (const { branch, layer } of branches) {
    branch.a = await dequantize(branch.a, context.ort)
    branch.b = await dequantize(branch.b, context.ort)
    const dora = vectors.get(branch)
    const frozen = dora && options.adapterFiles && branch.base ? linearOf(branch.base, { bias: true }) : undefined
    // Read before the vector's own computation goes, which reads the same.
    const weight = frozen && (await floatWeight(frozen, context.ort))
    layers.push({ ...taker.branch(branch, layer, dora), ...(weight ? { weight } : {}) })
  }
  for (const hada of hadas) {
    const [first, second] = hada.products
    hada.products = [await dequantizeOperands(first, context.ort), await dequantizeOperands(second, context.ort)]
    layers.push(taker.hada(hada))
  }
  for (const delta of deltas) {
    delta.product = await dequantize(delta.product, context.ort)
    layers.push(taker.delta(delta))
  }
  const slots = [...new Map(layers.flatMap(slotsOf).map((slot) => [slot.name, slot])).values()]
  const own = options.adapterName ?? (names.size === 1 ? [...names][0]! : 'default')
  const adapters = [{ name: own, tensors: new Map(slots.map(({ name, like }) => [name, like])) }]
  for (const [name, path] of Object.entries(options.adapterFiles ?? {})) {
    if (name === own)
      throw new OnnxError('ADAPTER_DUPLICATE', `there are two adapters of the name "${name}"`, {
        place,
        hint: 'The one in the model has it already: set adapter_name, or give the file another name.',
      })
    adapters.push({ name, tensors: await readAdapterFor(layers, locate(path, context.file), context.ort) })
  }
  if (isExternal) alignRanks(model, layers, adapters)
  const packing = options.pack ? packInputs(model, slots) : undefined
  return {
    changes: layers.length,
    adapters: {
      format: options.adapterFormat,
      isExternal,
      inputs: packing?.inputs ?? slots.map(({ name }) => name),
      adapters: adapters.map(({ name, tensors }) => ({ name, tensors: packing?.pack(tensors) ?? tensors })),
    },
    data: { layers: layers.length, adapters: adapters.map(({ name }) => name) },
  }
}

/** A layer that the model calls several times is one, as those in both branches of an If are; two adapters of one product are not. */
function isSameLayer(one: Branch, other: Branch): boolean {
  const isApart = !one.base || one.base !== other.base
  return isApart && isSameWeight(one.a, other.a) && isSameWeight(one.b, other.b)
}

function hasProduct({ graph }: LocalFunction): boolean {
  return [...graph.allNodes()].some(({ opType }) => PRODUCTS.has(opType))
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
