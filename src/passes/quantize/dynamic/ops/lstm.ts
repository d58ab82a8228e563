import type { Value } from '../../../../graph/value.ts'
import { replaceNode } from '../../replace.ts'
import { findWeight } from '../../weight.ts'
import type { WeightRequest } from '../../weight-cache.ts'
import { codeRange, type Handler, left } from '../tools.ts'

const DOMAIN = 'com.microsoft'

/**
 * LSTM with constant weights -> DynamicQuantizeLSTM, which takes W and R as [directions, input, 4 x hidden] and one scale for each
 * direction, or for each of its columns.
 */
export const lstm: Handler = {
  op: 'LSTM',
  domain: '',
  quantize(node, { options, weights, leftovers }) {
    const [w, r] = [node.input(1), node.input(2)]
    const found = [findWeight(w), findWeight(r)]
    const [foundW, foundR] = found
    if (!w || !r || !foundW || !foundR) return left('its weights are computed at run time')
    if (found.some((weight) => weight!.transposed || weight!.tensor.dims.length !== 3))
      return left('its weights are no stacks of matrices')
    if (found.some((weight) => weight!.dtype !== 'float32'))
      return left(`DynamicQuantizeLSTM has no ${foundW.dtype} form`)
    if (node.int('layout', 0) !== 0) return left('DynamicQuantizeLSTM has no batch-first layout')
    const type = options.weightType ?? 'int8'
    const request: WeightRequest = {
      type,
      // The kernel wants one zero point for all channels.
      symmetric: true,
      range: codeRange(options),
      axis: 0,
      span: options.perChannel ? 2 : 1,
      contraction: 'columns',
      transposed: true,
    }
    const [qw, qr] = [weights.get(foundW.root, request), weights.get(foundR.root, request)]
    if (typeof qw === 'string') return left(qw)
    if (typeof qr === 'string') return left(qr)
    const { graph } = node
    const rest = Array.from({ length: 5 }, (_, i): Value | null => node.input(i + 3) ?? null)
    const attributes = Object.fromEntries([...node.attributes].filter(([name]) => name !== 'layout'))
    const fresh = graph.insert(
      {
        op: 'DynamicQuantizeLSTM',
        domain: DOMAIN,
        name: `${node.name || 'LSTM'}_quant`,
        inputs: [
          node.input(0)!,
          qw.data,
          qr.data,
          ...rest,
          qw.scale,
          weights.zeroPoints(qw),
          qr.scale,
          weights.zeroPoints(qr),
        ],
        attributes,
        outputs: node.outputs.map((value) => value && `${value.name}_quant`),
        types: node.outputs.map((value) => value?.type),
      },
      { before: node },
    )
    replaceNode(node, ...fresh.outputs.map((value) => value ?? undefined))
    graph.model.useDomain(DOMAIN)
    leftovers.add(w).add(r)
    return 'done'
  },
}
