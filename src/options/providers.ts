import { OnnxError } from '../onnx/errors.ts'
import { OPTIONS, readParams } from '../params/read.ts'
import type { ParamTable } from '../params/spec.ts'
import { DEVICES, type Device } from './general.ts'
import type { Layer } from './layers.ts'

const deviceId = { type: 'integer', doc: 'Number of the device', min: 0 } as const
const cacheMode = {
  type: 'enum',
  doc: 'How buffers are kept for later use',
  values: ['disabled', 'lazyRelease', 'simple', 'bucket'],
} as const

/** What each execution provider takes from JavaScript, as ONNX Runtime 1.30 declares it. */
export const PROVIDER_OPTIONS: Readonly<Record<Device, ParamTable>> = {
  cpu: { useArena: { type: 'boolean', doc: 'Memory arena of the provider' } },
  cuda: { deviceId },
  tensorrt: { deviceId },
  dml: { deviceId },
  coreml: { coreMlFlags: { type: 'integer', doc: 'Bits of `COREMLFlags`: 0x10 makes an ML program', min: 0, max: 63 } },
  qnn: {
    backendType: { type: 'enum', doc: 'Backend by name', values: ['cpu', 'htp', 'gpu'] },
    backendPath: { type: 'string', doc: 'Backend as a library; excludes backendType' },
    enableFp16Precision: { type: 'boolean', doc: 'Compute float32 models in float16' },
  },
  webnn: {
    deviceType: { type: 'enum', doc: 'Kind of device', values: ['cpu', 'gpu', 'npu'] },
    numThreads: { type: 'integer', doc: 'Threads of the CPU', min: 1 },
    powerPreference: { type: 'enum', doc: 'Speed or energy', values: ['default', 'low-power', 'high-performance'] },
  },
  webgpu: {
    preferredLayout: { type: 'enum', doc: 'Layout of images', values: ['NCHW', 'NHWC'] },
    forceCpuNodeNames: { type: 'string', doc: 'Nodes that stay on the CPU, separated by `;`' },
    validationMode: { type: 'enum', doc: 'How much is checked', values: ['disabled', 'wgpuOnly', 'basic', 'full'] },
    storageBufferCacheMode: cacheMode,
    uniformBufferCacheMode: cacheMode,
    queryResolveBufferCacheMode: cacheMode,
    defaultBufferCacheMode: cacheMode,
  },
  wasm: {},
}

/**
 * Session options of ONNX Runtime out of the parameters of a target.
 *
 * @returns undefined where none is set
 * @throws OnnxError `OPTION_UNKNOWN`, `OPTION_VALUE` for provider options that the device's provider does not take,
 * `OPTION_CONFLICT` for what has no effect there
 */
export function sessionOf(
  merged: Layer,
  device: Device,
  target: string,
): Readonly<Record<string, unknown>> | undefined {
  const provider = readProvider(
    merged['providerOptions'] as Readonly<Record<string, string>> | undefined,
    device,
    target,
  )
  const freeDims = merged['freeDims'] as Readonly<Record<string, string>> | undefined
  if (freeDims && DEVICES[device] === 'server')
    throw new OnnxError(
      'OPTION_CONFLICT',
      `\`freeDims\` has no effect on ${device}: onnxruntime-node does not read it`,
      {
        hint: 'Fix the sizes in the model: `dim=batch:1`.',
      },
    )
  const options: Record<string, unknown> = {
    ...(provider && { executionProviders: [{ name: device, ...provider }] }),
    ...(freeDims && { freeDimensionOverrides: sizes(freeDims) }),
    intraOpNumThreads: merged['threads'],
    enableCpuMemArena: merged['memoryArena'],
    graphOptimizationLevel: merged['graphLevel'],
    executionMode: merged['executionMode'],
  }
  const entries = Object.entries(options).filter(([, value]) => value !== undefined)
  return entries.length ? Object.fromEntries(entries) : undefined
}

function readProvider(given: Readonly<Record<string, string>> | undefined, device: Device, target: string) {
  if (!given) return undefined
  const table = PROVIDER_OPTIONS[device]
  if (!Object.keys(table).length)
    throw new OnnxError('OPTION_CONFLICT', `${device} takes no provider options`, {
      hint: 'Leave `providerOptions` out.',
    })
  const where = `provider options of ${device}, target '${target}'`
  const options = readParams(table, Object.entries(given), OPTIONS, { where })
  if (options['backendType'] !== undefined && options['backendPath'] !== undefined)
    throw new OnnxError('OPTION_CONFLICT', '`backendType` and `backendPath` exclude each other', {
      hint: 'Give one of them.',
    })
  const names = options['forceCpuNodeNames'] as string | undefined
  return names === undefined ? options : { ...options, forceCpuNodeNames: names.split(';') }
}

function sizes(freeDims: Readonly<Record<string, string>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(freeDims).map(([name, text]) => {
      const size = /^\d+$/.test(text) ? Number(text) : 0
      if (size < 1)
        throw new OnnxError('OPTION_VALUE', `'${text}' is no size for the dimension '${name}' of \`freeDims\``, {
          hint: 'Write a positive whole number, e.g. free_dims=batch:1.',
        })
      return [name, size]
    }),
  )
}
