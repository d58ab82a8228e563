import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { cacheOptions, cpuIdentity } from '../options/index.ts'
import { canonicalJson } from './canonical.ts'
import type { Plan } from './plan.ts'

/** Raised when the layout of an entry, or what the pipeline itself does to a model, changes. */
const FORMAT = 3

/** Content of the inputs of a build. */
export interface InputHashes {
  model: string
  /** By `location`, in the order of the model. */
  external: readonly (readonly [location: string, hash: string])[]
  /** Of the files that passes depend on, in the order the passes name them. */
  dependencies: readonly string[]
}

export interface KeyParts {
  /** Base name of the model: it names the files of the artifact. */
  name: string
  inputs: InputHashes
  plan: Plan
  ortVersion?: string
  /** What tells this processor from others; asked for only if a pass of the plan depends on it. */
  cpu?: () => string
  /** Version of the `onnxruntime-web` whose kernels the notes of a build for browsers tell of. */
  webKernels?: string | undefined
}

/**
 * The cache key: hex SHA-256 over everything that decides the bytes of the artifact. Parameters that only change how
 * the result is presented are left out, and the device where no pass runs that could ask for it.
 */
export function cacheKey({
  name,
  inputs,
  plan,
  ortVersion = installedOrtVersion(),
  cpu = cpuIdentity,
  webKernels,
}: KeyParts): string {
  const { device, passes } = cacheOptions(
    plan.options,
    plan.steps.map(({ pass }) => pass),
  )
  const text = canonicalJson({
    format: FORMAT,
    name,
    inputs,
    device: passes.length > 0 ? device : undefined,
    passes,
    onnxruntime: ortVersion,
    webKernels: passes.length > 0 ? webKernels : undefined,
    cpu: plan.steps.some(({ pass, params }) => pass.hardwareDependent?.(params)) ? cpu() : undefined,
  })
  return createHash('sha256').update(text).digest('hex')
}

let ortVersion: string | undefined

/** Version of the onnxruntime-node that builds will use; `none` when it is not installed. Does not load it. */
export function installedOrtVersion(): string {
  ortVersion ??= readOrtVersion()
  return ortVersion
}

function readOrtVersion(): string {
  try {
    let folder = dirname(createRequire(import.meta.url).resolve('onnxruntime-node'))
    for (; folder !== dirname(folder); folder = dirname(folder)) {
      try {
        const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<
          string,
          string
        >
        if (name === 'onnxruntime-node' && version) return version
      } catch {
        // No package.json in this folder: look further up.
      }
    }
  } catch {
    // Not installed.
  }
  return 'none'
}
