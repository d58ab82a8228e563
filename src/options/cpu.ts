import { readFileSync } from 'node:fs'
import { arch, cpus, platform } from 'node:os'

/** CPU presets by name, from the most to the least capable. */
export type CpuPreset = 'arm64' | 'avx2' | 'avx512' | 'avx512_vnni'

/** What decides which kernels ONNX Runtime picks on a machine. */
export interface Cpu {
  /** Node's name of the architecture: `x64`, `arm64`, ... */
  arch: string
  /** Lower-case feature flags, sorted. Empty where the system does not tell. */
  flags: readonly string[]
}

let found: Cpu | undefined

/** The CPU of this machine; asked once. */
export function thisCpu(): Cpu {
  found ??= { arch: arch(), flags: readFlags() }
  return found
}

/** One text that is equal on machines whose CPUs offer the same: joins the cache key of hardware-dependent passes. */
export function cpuIdentity(cpu: Cpu = thisCpu()): string {
  const relevant = cpu.flags.filter((flag) => /^(avx|fma|f16c|sse4|amx|asimd|i8mm|bf16|sve|fphp|amd)/.test(flag))
  return [cpu.arch, ...relevant, ...(relevant.length === 0 ? [cpus()[0]?.model ?? ''] : [])].join(' ')
}

/** The preset that fits a CPU. On x64, without any flags known, the safe choice is `avx2`. */
export function presetOf(cpu: Cpu = thisCpu()): CpuPreset {
  if (cpu.arch === 'arm64' || cpu.arch === 'arm') return 'arm64'
  const has = (...flags: string[]) => flags.some((flag) => cpu.flags.includes(flag))
  // avx_vnni: the 256-bit form that client CPUs without AVX-512 have; the same products, no saturation.
  if (has('avx512_vnni', 'avx512vnni', 'avx_vnni', 'avxvnni')) return 'avx512_vnni'
  return has('avx512f') ? 'avx512' : 'avx2'
}

/** Flags in the text of `/proc/cpuinfo` (`flags` on x86, `Features` on ARM). */
export function parseCpuInfo(text: string): string[] {
  const line = /^(?:flags|Features)\s*:(.*)$/m.exec(text)?.[1] ?? ''
  return [...new Set(line.trim().toLowerCase().split(/\s+/).filter(Boolean))].sort()
}

/** Flags in what `sysctl machdep.cpu` (Intel) and `sysctl hw.optional` (Apple silicon) print. */
export function parseSysctl(text: string): string[] {
  const flags: string[] = []
  for (const [, list] of text.matchAll(/^machdep\.cpu\.(?:leaf7_)?features:(.*)$/gm))
    flags.push(...list!.trim().toLowerCase().replaceAll('.', '_').split(/\s+/))
  for (const [, name] of text.matchAll(/^hw\.optional\.(?:arm\.)?(?:feat_)?(\w+): 1$/gim))
    flags.push(name!.toLowerCase())
  return [...new Set(flags.filter(Boolean))].sort()
}

function readFlags(): string[] {
  try {
    if (platform() === 'linux') return parseCpuInfo(readFileSync('/proc/cpuinfo', 'utf8'))
    if (platform() === 'darwin')
      return parseSysctl(
        process
          .getBuiltinModule('node:child_process')
          .execFileSync('sysctl', ['machdep.cpu', 'hw.optional'], { encoding: 'utf8', stdio: 'pipe' }),
      )
  } catch {
    // Not told: the architecture alone decides.
  }
  return []
}
