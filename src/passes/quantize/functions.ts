import { inlineFunctions, reasonToStay } from '../../graph/inline-functions.ts'
import type { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import type { PassContext } from '../pass.ts'
import type { Part } from './part.ts'
import { type Aliases, nameOf } from './select.ts'

/**
 * Puts the bodies of the model's own functions in place of their calls where they hold operators to be quantized: bodies have no
 * initializers for quantized weights, and each call has ranges of its own. Functions that have to stay are noted.
 *
 * @param part what it belongs to was done before
 * @returns how many calls were replaced; and by which names nodes are known besides their own: those of the calls, and their name in
 * the function
 */
export function inlineQuantizable(
  model: Model,
  isQuantizable: (node: Node) => boolean,
  { note }: PassContext,
  part?: Part,
): { inlined: number; aliases: Aliases } {
  const aliases = new Map<Node, readonly string[]>()
  if (part) return { inlined: 0, aliases }
  const copied = (copy: Node, original: Node, call: Node): void => {
    const names = [nameOf(original), nameOf(call), ...(aliases.get(call) ?? [])]
    aliases.set(copy, [...new Set(names)].filter(Boolean))
  }
  const wants = ({ graph }: Model['functions'][number]): boolean => [...graph.allNodes()].some(isQuantizable)
  const inlined = inlineFunctions(model, { wants, copied })
  for (const fn of model.functions) {
    const reason = wants(fn) && reasonToStay(fn, model)
    if (reason)
      note({
        level: 'info',
        code: 'quantize/left-float',
        message: `the function "${fn.name}" stays float: ${reason}`,
      })
  }
  return { inlined, aliases }
}
