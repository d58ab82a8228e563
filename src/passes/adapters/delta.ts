import { convertFloats } from '../../graph/float-data.ts'
import { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import { Tensor } from '../../graph/tensor.ts'
import { tensorType } from '../../graph/types.ts'
import type { Value } from '../../graph/value.ts'
import type { AdapterTensor } from '../../onnx/adapters/index.ts'
import { isFloat } from '../../onnx/dtypes.ts'
import type { OrtService } from '../../ort/service.ts'
import type { Layer, Slot } from './files.ts'
import { frozenProduct, REACH, readerOf, sourceOf } from './find.ts'
import { type Linear, linearOf } from './linear.ts'
import { type BranchName, endsAlike, namePath } from './names.ts'

/** A layer whose adapter an optimizer made one matrix of: `base(x) + x D`, with D as large as the frozen weight. */
export interface Delta extends BranchName {
  product: Linear
  roundings: Node[]
}

/** End of the name of such a matrix. */
export const DELTA = '.delta.weight'

/**
 * Finds layers whose adapter was folded. Two products of one value that are added may be anything: only where the name of one
 * says that PEFT wrapped it is the other an adapter.
 */
export function findDeltas(nodes: Iterable<Node>): Delta[] {
  const layers: Delta[] = []
  for (const node of nodes) {
    const product = isWrapped(node) ? undefined : linearOf(node)
    if (!product) continue
    const roundings: Node[] = []
    const { value, user } = readerOf(node.output(), roundings)
    const other = user?.is('Add') ? user.inputs.find((one) => one !== value) : undefined
    const base = other ? frozenProduct(other, sourceOf(product.input), REACH) : undefined
    const frozen = base && base !== node && isWrapped(base) ? linearOf(base, { bias: true }) : undefined
    if (!frozen || frozen.rows !== product.rows || frozen.columns !== product.columns) continue
    layers.push({
      ...(namePath(base!.name) ?? { layer: `delta.${layers.length}`, adapter: 'default' }),
      product,
      roundings,
    })
  }
  return layers
}

function isWrapped({ name, inputs }: Node): boolean {
  const weight = inputs[1]
  const source = weight?.producer?.input(0) ?? weight
  return [name, source?.name ?? ''].some((text) => /(?:^|[./])base_layer[./]/.test(text))
}

/**
 * Makes matrices of the factors that an adapter's file has for folded layers: `A B` of LoRA, of LoHa
 * `((w1_a w1_b) * (w2_a w2_b))'`. Everything else stays as it is.
 */
export async function composeDeltas(
  given: readonly AdapterTensor[],
  layers: readonly Layer[],
  ort: OrtService,
): Promise<AdapterTensor[]> {
  const rest = new Set(given)
  const composed: AdapterTensor[] = []
  for (const { name, constants } of layers) {
    if (!constants.some(isDelta)) continue
    for (const kinds of [LORA, LOHA]) {
      const factors = kinds.map((kind) =>
        given.find(({ name: written, dtype, dims }) => {
          const layer = written.endsWith(`.${kind}`) ? written.slice(0, -kind.length - 1) : undefined
          const isMatrix = dims.length === 2 && isFloat(dtype)
          return layer !== undefined && isMatrix && (layer === name || endsAlike(layer, name))
        }),
      )
      if (!factors.every((factor) => factor !== undefined) || !areFactors(factors)) continue
      for (const factor of factors) rest.delete(factor)
      const matrix = await multiply(factors, ort)
      composed.push({ name: `${name}${DELTA}`, dtype: matrix.dtype!, dims: matrix.dims, data: matrix.bytes() })
    }
  }
  return [...rest, ...composed]
}

const LORA = ['lora_A.weight', 'lora_B.weight']
const LOHA = ['hada_w1_a', 'hada_w1_b', 'hada_w2_a', 'hada_w2_b']

function isDelta({ kind }: Slot): boolean {
  return kind === 'delta'
}

/** Whether matrices can be multiplied two by two, with equal results. */
function areFactors(factors: readonly AdapterTensor[]): boolean {
  const sizes = new Set<string>()
  for (let at = 0; at < factors.length; at += 2) {
    const [a, b] = [factors[at]!.dims, factors[at + 1]!.dims]
    if (a[1] !== b[0]) return false
    sizes.add(`${a[0]} ${b[1]}`)
  }
  return sizes.size === 1
}

async function multiply(factors: readonly AdapterTensor[], ort: OrtService): Promise<Tensor> {
  const { graph } = new Model({ opset: 17, irVersion: 8 })
  const op = (type: string, ...inputs: Value[]): Value =>
    graph.insert({ op: type, inputs, types: [tensorType('float32')] }).output()
  const [a, b, ...more] = factors.map(({ dtype, dims, data }) =>
    graph.addInitializer('factor', convertFloats(Tensor.of(dtype, dims, data), 'float32')),
  ) as [Value, Value, ...Value[]]
  const product = op('MatMul', a, b)
  const [c, d] = more
  graph.addOutput(c && d ? op('Transpose', op('Mul', product, op('MatMul', c, d))) : product)
  return Object.values(await ort.evaluate(graph.model))[0]!
}
