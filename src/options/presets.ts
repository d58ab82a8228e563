import { presetOf, thisCpu } from './cpu.ts'

/** Values by camelCase key; `undefined` takes back what a lower layer set. */
export type Bundle = Readonly<Record<string, string | number | boolean | undefined>>

/**
 * Int8 by CPU. x86 without VNNI adds pairs of u8 x s8 products in 16 bits, which saturates; weights of 7 bits
 * (reduced range) cannot. Signed weights run 1.5 times as fast there as unsigned ones, and per channel the lost
 * bit costs next to nothing.
 */
export const CPU_PRESETS: Readonly<Record<string, Bundle>> = {
  arm64: { weightType: 'int8', perChannel: true, reduceRange: false },
  avx2: { weightType: 'int8', perChannel: true, reduceRange: true },
  avx512: { weightType: 'int8', perChannel: true, reduceRange: true },
  avx512_vnni: { weightType: 'int8', perChannel: true, reduceRange: false },
}

/** The built-in preset of this name; `auto` is the one of the CPU that this runs on. */
export function builtInPreset(name: string): Bundle | undefined {
  if (name === 'auto') return CPU_PRESETS[presetOf(thisCpu())]
  return Object.hasOwn(CPU_PRESETS, name) ? CPU_PRESETS[name] : undefined
}

export const BUILT_IN_PRESETS: readonly string[] = [...Object.keys(CPU_PRESETS), 'auto']
