import type { Model } from '../../../graph/model.ts'
import type { Node } from '../../../graph/node.ts'
import type { Value } from '../../../graph/value.ts'
import type { PassContext } from '../../pass.ts'
import { type ChannelRequest, type Channels, measureChannels } from '../calibrate/channels.ts'
import type { CalibrationData } from '../calibrate/data/index.ts'
import { smooth } from '../static/smooth.ts'
import { equalize, neighboursOf } from './equalize.ts'
import { productOf } from './products.ts'

/** What is balanced, see the parameters of static quantization. */
export interface BalanceOptions {
  smoothAlpha?: number | undefined
  equalize: boolean
}

/**
 * Moves differences between channels of activations into the weights that read them, as far as the data says and where a factor per
 * channel can be taken back before: in the norm, or in the weight of the product before. What the model computes stays the same.
 *
 * @returns how many weights were changed
 */
export async function balance(
  model: Model,
  nodes: readonly Node[],
  options: BalanceOptions,
  data: CalibrationData,
  context: PassContext,
): Promise<number> {
  const pairs = options.equalize ? neighboursOf(nodes) : []
  const requests = options.smoothAlpha === undefined ? [] : inputsOf(nodes.filter(({ opType }) => opType !== 'Conv'))
  for (const { second } of pairs) requests.push({ value: second.node.input(0)!, axis: second.axis })
  if (!requests.length) return 0
  const seen = await measureChannels(model, requests, data, context)
  let changes = pairs.filter((pair) => equalize(pair, seen.get(pair.second.node.input(0)!))).length
  if (options.smoothAlpha !== undefined) {
    const reach = new Map([...seen].map(([value, { reach }]) => [value, reach]))
    changes += smooth(nodes, { reach, alpha: options.smoothAlpha })
  }
  return changes
}

/** The mean of every channel of what products read. */
export function meansOf(
  model: Model,
  nodes: Iterable<Node>,
  data: CalibrationData,
  context: PassContext,
): Promise<Map<Value, Channels>> {
  return measureChannels(model, inputsOf(nodes), data, context)
}

function inputsOf(nodes: Iterable<Node>): ChannelRequest[] {
  return [...nodes].flatMap((node) => {
    const product = productOf(node)
    const value = node.input(0)
    const usable = product && value?.isFloat && !value.constant && !node.graph.owner
    return usable ? [{ value, axis: product.axis }] : []
  })
}
