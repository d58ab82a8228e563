import type { Model } from '../../graph/model.ts'
import { forgetNames, propagateShapes } from '../../graph/shapes.ts'
import type { ParamOutput } from '../../params/spec.ts'
import { type NearMiss, rewrite, splitQualified } from '../../rewrite/index.ts'
import { checkHeads, DISENTANGLED, plainAttention } from '../../rules/attention/index.ts'
import { chosenPhases } from '../../rules/index.ts'
import { legalityOf } from '../../rules/legality.ts'
import type { PassContext, PassResult } from '../pass.ts'
import type { fuse } from './index.ts'

/** Parameters of the pass; where nothing is quantized afterwards `quantize` may be left out. */
export type FuseOptions = Omit<ParamOutput<typeof fuse.params>, 'quantize'> &
  Partial<Pick<ParamOutput<typeof fuse.params>, 'quantize'>>

/** What the pass tells beside counts per operator. */
export interface FuseData {
  /** How often each rule fired. */
  rules: Record<string, number>
  /** Nodes of all graphs but functions, before and after. */
  nodes: { before: number; after: number }
  /** Best attempts of rules that never fired, where two nodes and at least half of all matched. */
  nearMisses: NearMiss[]
  /** With `fuseSteps`: the last rewrites, the very last at the end. */
  lastSteps?: { rule: string; node: string }[]
}

/** Runs the fusion rules that the options ask for. */
export async function run(
  model: Model,
  options: FuseOptions,
  { ort, device, note }: Pick<PassContext, 'ort' | 'device' | 'note'>,
): Promise<PassResult & { data: FuseData }> {
  const { without, only, fuseSteps: steps, strict, geluApproximation, mask, numHeads, hiddenSize } = options
  const also = [
    ...(options.also ?? []),
    ...(geluApproximation ? ['gelu-approximation'] : []),
    ...(wantsChannelsLast(options) ? ['nhwc-conv'] : []),
    ...(mask === 'raw' ? [] : [`mask-${mask}`]),
  ]
  const lacking = [...withoutBlocks(options.quantize), ...withoutMasks(device)]
  const unwanted = lacking.filter((rule) => !only?.includes(rule) && !also.includes(rule))
  const phases = chosenPhases({ without: [...(without ?? []), ...unwanted], also, only })
  const restore = keepSignature(model)
  forgetShapes(model)
  await ort.inferTypes(model)
  propagateShapes(model, { named: true })
  const before = model.histogram()
  const { changes, counts, nearMisses, problems, trail } = rewrite(model, phases, {
    steps,
    strict,
    allows: legalityOf(device),
  })
  // Whatever kept an attention from getting its operator, no operator of our own may stay.
  rewrite(model, [[plainAttention]])
  forgetNames(model)
  restore()
  checkHeads(model, { numHeads, hiddenSize })
  for (const { code, node, message } of problems) note({ level: 'warn', code: `fuse/${code}`, message, node })
  const disentangled = nearMisses.find(({ reason }) => reason.includes(DISENTANGLED))
  if (disentangled)
    note({
      level: 'info',
      code: 'fuse/disentangled',
      message: `attention ${disentangled.reason}`,
      node: disentangled.at,
    })
  const after = model.histogram()
  const data: FuseData = {
    rules: counts,
    nodes: { before: total(before), after: total(after) },
    nearMisses: nearMisses.filter(({ matched, total }) => matched > 1 && 2 * matched >= total),
    ...(steps === undefined ? {} : { lastSteps: trail }),
  }
  const emitted = new Set(phases.flat().flatMap(({ emits }) => emits))
  return { changes, fused: growth(before, after, emitted), data }
}

/** Diffusion models have neighbours between which the Transposes cancel out; quantization looks for Conv. */
function wantsChannelsLast({ fuse, quantize = 'none' }: FuseOptions): boolean {
  return (fuse === 'unet' || fuse === 'vae') && quantize === 'none'
}

/** Rules whose operators take no weights in blocks, where such are wanted: fused, they would keep their weights float. */
function withoutBlocks(quantize: FuseOptions['quantize']): string[] {
  if (quantize === 'bnb4') return ['packed-attention']
  return quantize === 'weights' ? ['packed-attention', 'embed-layer-norm'] : []
}

/** Rules that give attention inputs which its kernels on a device do not take (by ONNX Runtime's own lists of 1.30): masks are added instead. */
function withoutMasks(device: string): string[] {
  return device === 'webgpu' || device === 'webnn' ? ['padding-mask', 'attention-past'] : []
}

/** Inference knows more about outputs than files declare; what the model declares is its signature and stays. */
function keepSignature({ graph }: Model): () => void {
  const declared = graph.outputs.map(({ type, extra }) => ({ type, typeProto: extra?.typeProto }))
  return () => {
    for (const [i, { type, typeProto }] of declared.entries()) {
      const output = graph.outputs[i]!
      output.type = type
      if (typeProto) output.extra = { ...output.extra, typeProto }
    }
  }
}

/** Shapes that a file states for values inside may be those of the exporter's example: only what follows from the inputs counts. */
function forgetShapes(model: Model): void {
  for (const node of model.allNodes())
    for (const value of node.outputs)
      if (value?.type?.kind === 'tensor' && value.type.shape) value.type = { kind: 'tensor', dtype: value.type.dtype }
}

function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0)
}

/** How many more there are of each of these operators, by name without domain. */
function growth(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
  ops: ReadonlySet<string>,
): Record<string, number> {
  const grown: Record<string, number> = {}
  for (const name of ops) {
    const more = (after[name] ?? 0) - (before[name] ?? 0)
    const { op } = splitQualified(name)
    if (more > 0) grown[op] = (grown[op] ?? 0) + more
  }
  return grown
}
