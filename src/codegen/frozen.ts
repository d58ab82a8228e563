import type { Sizes } from '../options/frozen.ts'
import type { IoInfo, ModelInfo } from '../pipeline/types.ts'

/** Names of dimensions in the place of the sizes that the variants of one model were frozen at. */
export function unfrozen(variants: readonly { info: ModelInfo; frozen: Sizes }[]): ModelInfo {
  const [first] = variants
  const open = (values: (info: ModelInfo) => readonly IoInfo[]): IoInfo[] =>
    values(first!.info).map((value, at) => {
      const shapes = variants.map(({ info }) => values(info)[at]?.shape)
      if (!value.shape) return value
      return {
        ...value,
        shape: value.shape.map((dim, axis) => {
          const sizes = shapes.map((shape) => shape?.[axis])
          return nameOf(sizes) ?? (sizes.every((size) => size === dim) ? dim : null)
        }),
      }
    })
  const nameOf = (sizes: readonly unknown[]): string | undefined =>
    Object.keys(first!.frozen).find((name) => variants.every(({ frozen }, i) => frozen[name] === sizes[i]))
  return { ...first!.info, inputs: open((info) => info.inputs), outputs: open((info) => info.outputs) }
}

/** Variants that are one model of several sizes, together; the others alone. */
export function bySize<T extends { target: string; frozen?: Sizes | undefined }>(variants: readonly T[]): T[][] {
  const groups: T[][] = []
  for (const variant of variants) {
    const group = variant.frozen && groups.find(([first]) => first!.frozen && first!.target === variant.target)
    if (group) group.push(variant)
    else groups.push([variant])
  }
  return groups
}
