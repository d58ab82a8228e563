import type { Model } from '../../../graph/model.ts'
import { blockersOf } from '../../../graph/opset/blockers.ts'
import { raiseOpset } from '../../../graph/opset/raise.ts'
import type { PassContext } from '../../pass.ts'
import { isFloat8 } from './float8.ts'
import type { Plan } from './plan.ts'
import type { StaticOptions } from './settings.ts'

/** Operators of ONNX Runtime. */
export const CONTRIB_DOMAIN = 'com.microsoft'

/** What ONNX Runtime makes of quantized models needs operators of this version. */
const LEAST_OPSET = 11
/** QuantizeLinear has an axis from here on. */
const AXIS_OPSET = 13
/** And float8 from here on. */
const FLOAT8_OPSET = 19
/** And blocks from here on. */
const BLOCK_OPSET = 21

/** True if options ask for a higher operator set than the model's, so that nodes may have to be adapted. */
export function raisesOpset({ opset }: Model, { blockSize, activationType }: StaticOptions): boolean {
  return (isFloat8(activationType) && opset < FLOAT8_OPSET) || (blockSize !== undefined && opset < BLOCK_OPSET)
}

/**
 * Raises a model to the least operator set, where that changes nothing else; and says so where there is no scale per channel.
 *
 * @returns the options that can be followed, or undefined if the model must stay as it is
 */
export async function fitVersion(
  model: Model,
  asked: StaticOptions,
  { note, ort }: PassContext,
): Promise<StaticOptions | undefined> {
  const { opset } = model
  let options = asked
  if (opset < LEAST_OPSET) {
    const blockers = blockersOf(model, LEAST_OPSET)
    if (blockers.length) {
      note({
        level: 'warn',
        code: 'quantize/opset-too-old',
        message: `static quantization needs opset ${LEAST_OPSET}, and ${blockers.join(', ')} mean something else in opset ${opset}: the model stays as it is`,
      })
      return undefined
    }
    model.opsets.delete('ai.onnx')
    model.opsets.set('', LEAST_OPSET)
  }
  if (isFloat8(options.activationType) && model.opset < FLOAT8_OPSET) {
    await ort.inferTypes(model)
    const blockers = raiseOpset(model, FLOAT8_OPSET)
    if (blockers.length) {
      note({
        level: 'warn',
        code: 'quantize/opset-too-old',
        message: `float8 needs opset ${FLOAT8_OPSET}, and ${blockers.join(', ')} mean something else in opset ${opset}: the model stays as it is`,
      })
      return undefined
    }
  }
  if (options.blockSize !== undefined && model.opset < BLOCK_OPSET) {
    await ort.inferTypes(model)
    const blockers = raiseOpset(model, BLOCK_OPSET)
    if (blockers.length) {
      options = { ...options, blockSize: undefined }
      note({
        level: 'warn',
        code: 'quantize/no-blocks',
        message: `weights are not in blocks: these need opset ${BLOCK_OPSET}, and ${blockers.join(', ')} mean something else in opset ${opset}`,
      })
    }
  }
  if (model.opset >= AXIS_OPSET || !options.perChannel) return options
  note({
    level: 'info',
    code: 'quantize/per-tensor',
    message: `weights get one scale each: a scale per channel needs opset ${AXIS_OPSET}, and the model has ${opset}`,
  })
  return { ...options, perChannel: false }
}

/** Domain of QuantizeLinear, declared in the model: the standard one learned float16 in opset 19, and 4 and 16 bits in 21. */
export function domainFor(model: Model, { contribOps }: StaticOptions, plan: Plan): string {
  const types = [
    ...[...plan.parameters.values()].flatMap(({ type, convert }) => [type, convert?.parameters.type ?? type]),
    ...plan.constants.map(({ constant }) => constant.request.type),
  ]
  const wide = types.some((type) => !type.endsWith('int8') && !isFloat8(type))
  const half = [...model.graph.allNodes()].some((node) => node.outputs.some((value) => value?.dtype === 'float16'))
  const domain = contribOps || model.opset < (wide ? 21 : half ? 19 : 10) ? CONTRIB_DOMAIN : ''
  if (domain && types.length) model.useDomain(domain)
  return domain
}
