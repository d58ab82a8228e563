import type { Branch } from './find.ts'
import { plainName } from './quantized.ts'

/** What a branch belongs to. */
export interface BranchName {
  /** The layer that it changes, as a path with dots. */
  layer: string
  /** The adapter, as PEFT calls it. */
  adapter: string
}

/**
 * Names a branch: by its nodes (`.../query/default/MatMul` and `.../query/default_1/MatMul`, or `.../query/lora_A/...`), else
 * by its weights (`...query.lora_A.default.weight`), else by the frozen product that it changes.
 */
export function nameBranch(branch: Branch, index: number): BranchName {
  return byNodes(branch) ?? byWeights(branch) ?? byBase(branch) ?? { layer: `lora.${index}`, adapter: 'default' }
}

function byNodes({ a, b }: Branch): BranchName | undefined {
  const [first, second] = [segments(a.node.name).slice(0, -1), segments(b.node.name).slice(0, -1)]
  const [leafA, leafB] = [first.pop(), second.pop()]
  if (leafA === undefined || leafB === undefined) return undefined
  const adapter = leafA.replace(/_0$/, '')
  const path = first.join('.')
  if (path === second.join('.')) {
    if (leafA === 'lora_A' && leafB === 'lora_B') return { layer: tidy(path), adapter: 'default' }
    return leafB === `${leafA}_1` ? { layer: tidy(path), adapter } : undefined
  }
  return first.pop() === 'lora_A' && second.pop() === 'lora_B' && first.join('.') === second.join('.')
    ? { layer: tidy(first.join('.')), adapter }
    : undefined
}

function byWeights({ a }: Branch): BranchName | undefined {
  return nameWeight(plainName(a.weight.name), 'lora_A')
}

/** Names a layer by the name of its weight of one kind: `<layer>.<kind>.<adapter>.weight`. */
export function nameWeight(name: string, kind: string): BranchName | undefined {
  const pattern = new RegExp(`^(.+)\\.${kind}(?:\\.([^.]+))??(?:\\.weight)?$`)
  const [, layer, adapter = 'default'] = pattern.exec(name) ?? []
  return layer === undefined ? undefined : { layer: tidy(layer), adapter }
}

function byBase({ base }: Branch): BranchName | undefined {
  return namePath(base?.name ?? '')
}

/** Names a layer by the name of its frozen product. */
export function namePath(name: string): BranchName | undefined {
  const path = segments(name).slice(0, -1)
  return path.length ? { layer: tidy(path.join('.')), adapter: 'default' } : undefined
}

/** Whether one of two paths is the end of the other. */
export function endsAlike(a: string, b: string): boolean {
  return a.endsWith(`.${b}`) || b.endsWith(`.${a}`)
}

function segments(name: string): string[] {
  return name.split(/[/.]/).filter(Boolean)
}

/** Without what PEFT wraps around the model and the layer. */
function tidy(path: string): string {
  return path.replace(/^(?:.*\.)?base_model\.model\./, '').replace(/\.base_layer$/, '')
}
