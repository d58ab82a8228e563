import { int } from '../../../graph/attributes.ts'
import type { Graph } from '../../../graph/graph.ts'
import type { Node } from '../../../graph/node.ts'
import { tensorType } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import { codeOf, type DType } from '../../../onnx/dtypes.ts'

/** The uint8 form of a float value, with scalar scale (float32) and zero point. */
export interface QuantizedActivation {
  data: Value
  scale: Value
  zeroPoint: Value
}

/** The quantized forms of values. Each value gets one, shared by its readers, in subgraphs too. */
export class Activations {
  readonly #known = new Map<Value, (QuantizedActivation & { graph: Graph })[]>()

  /** A value that is quantized anyway: its readers need not quantize it again. */
  register(value: Value, quantized: QuantizedActivation, graph: Graph): void {
    const list = this.#known.get(value) ?? []
    list.push({ ...quantized, graph })
    this.#known.set(value, list)
  }

  /** The quantized form of a value that `graph` can see, if there is one. */
  known(value: Value, graph: Graph): QuantizedActivation | undefined {
    const list = this.#known.get(value) ?? []
    for (let at: Graph | undefined = graph; at; at = at.owner?.graph) {
      const found = list.find((entry) => entry.graph === at)
      if (found) return found
    }
    return undefined
  }

  /** The quantized form of `value` (of type `dtype`) for `reader`. Ranges are found at run time, in float32. */
  quantize(value: Value, dtype: DType, reader: Node): QuantizedActivation {
    const { graph } = reader
    const known = this.known(value, graph)
    if (known) return known
    const float =
      dtype === 'float32'
        ? value
        : graph
            .insert(
              {
                op: 'Cast',
                name: `${value.name}_Cast`,
                inputs: [value],
                attributes: { to: int(codeOf('float32')) },
                outputs: [`${value.name}_cast`],
                types: [tensorType('float32', value.shape)],
              },
              { before: reader },
            )
            .output()
    const node = graph.insert(
      {
        op: 'DynamicQuantizeLinear',
        name: `${value.name}_QuantizeLinear`,
        inputs: [float],
        outputs: [`${value.name}_quantized`, `${value.name}_scale`, `${value.name}_zero_point`],
        types: [tensorType('uint8', value.shape), tensorType('float32', []), tensorType('uint8', [])],
      },
      { before: reader },
    )
    const quantized = { data: node.output(0), scale: node.output(1), zeroPoint: node.output(2) }
    this.register(value, quantized, graph)
    return quantized
  }
}
