import { expect, test } from 'vitest'
import { type Cpu, cpuIdentity, parseCpuInfo, parseSysctl, presetOf, thisCpu } from '../../src/options/cpu.ts'

const X86 = `processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu vme sse4_2 fma avx avx2 avx512f avx512_vnni\n`
const ARM = `processor\t: 0\nFeatures\t: fp asimd asimddp i8mm bf16\n`
const MAC = `hw.optional.arm.FEAT_DotProd: 1\nhw.optional.arm.FEAT_SME: 0\nhw.optional.neon: 1\n`
const MAC_INTEL = `machdep.cpu.features: FPU SSE4.2 AVX1.0\nmachdep.cpu.leaf7_features: AVX2 AVX512F\n`

test('flags', () => {
  expect(parseCpuInfo(X86)).toEqual(['avx', 'avx2', 'avx512_vnni', 'avx512f', 'fma', 'fpu', 'sse4_2', 'vme'])
  expect(parseCpuInfo(ARM)).toEqual(['asimd', 'asimddp', 'bf16', 'fp', 'i8mm'])
  expect(parseSysctl(MAC)).toEqual(['dotprod', 'neon'])
  expect(parseSysctl(MAC_INTEL)).toEqual(['avx1_0', 'avx2', 'avx512f', 'fpu', 'sse4_2'])
  expect(parseCpuInfo('nothing of the kind')).toEqual([])
})

test.each<[Cpu['arch'], string[], string]>([
  ['x64', ['avx2'], 'avx2'],
  ['x64', [], 'avx2'],
  ['x64', ['avx2', 'avx512f'], 'avx512'],
  ['x64', ['avx2', 'avx512f', 'avx512_vnni'], 'avx512_vnni'],
  ['x64', ['avx2', 'avx_vnni'], 'avx512_vnni'],
  ['arm64', ['asimd'], 'arm64'],
])('%s %j: %s', (arch, flags, preset) => {
  expect(presetOf({ arch, flags })).toBe(preset)
})

test('the identity names what decides kernels and leaves the rest out', () => {
  expect(cpuIdentity({ arch: 'x64', flags: ['avx2', 'fpu', 'vme'] })).toBe('x64 avx2')
  expect(cpuIdentity(thisCpu())).toBe(cpuIdentity(thisCpu()))
})
