import { presetOf, thisCpu } from './cpu.ts'

/** Values by camelCase key; `undefined` takes back what a lower layer set. */
export type Bundle = Readonly<Record<string, string | number | boolean | undefined>>

/**
 * Int8 by CPU. x86 without VNNI adds pairs of u8 x s8 products in 16 bits, which saturates: there the number of bits is
 * left to the pass, which takes as many as cannot saturate. Other CPUs have room for all 8 bits. The type of the weights is
 * no matter of the CPU: it follows from the operators.
 */
export const CPU_PRESETS: Readonly<Record<string, Bundle>> = {
  arm64: { perChannel: true, reduceRange: false },
  avx2: { perChannel: true, reduceRange: undefined },
  avx512: { perChannel: true, reduceRange: undefined },
  avx512_vnni: { perChannel: true, reduceRange: false },
}

/** The built-in preset of this name; `auto` is the one of the CPU that this runs on. */
export function builtInPreset(name: string): Bundle | undefined {
  if (name === 'auto') return CPU_PRESETS[presetOf(thisCpu())]
  return Object.hasOwn(CPU_PRESETS, name) ? CPU_PRESETS[name] : undefined
}

export const BUILT_IN_PRESETS: readonly string[] = [...Object.keys(CPU_PRESETS), 'auto']
