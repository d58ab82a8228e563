import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { arch, cpus, platform } from 'node:os'
import { dirname, join } from 'node:path'
import { canonicalJson } from './canonical.ts'
import type { PlannedPass } from './plan.ts'

/** Raised when the layout of an entry, or what the pipeline itself does to a model, changes. */
export const FORMAT = 1

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
  device: string
  inputs: InputHashes
  plan: readonly PlannedPass[]
  ortVersion: string
  cpu: string
}

/**
 * The cache key: hex SHA-256 over everything that decides the bytes of the artifact. Parameters that only change how
 * the result is presented are left out; the processor counts only where a pass of the plan says that it matters.
 */
export function cacheKey({ name, device, inputs, plan, ortVersion, cpu }: KeyParts): string {
  const hardware = plan.some(({ pass, params }) => pass.hardwareDependent?.(params) ?? false)
  const text = canonicalJson({
    format: FORMAT,
    name,
    device: plan.length > 0 ? device : undefined,
    inputs,
    passes: plan.map(({ pass, params }) => ({
      name: pass.name,
      version: pass.version,
      params: Object.fromEntries(Object.entries(params).filter(([key]) => !pass.params[key]?.presentation)),
    })),
    onnxruntime: ortVersion,
    cpu: hardware ? cpu : undefined,
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

let features: string | undefined

/** What tells one kind of processor from another, as sorted words: architecture, and its flags or at least its model. */
export function cpuFeatures(): string {
  features ??= [platform(), arch(), ...cpuFlags()].join(' ')
  return features
}

function cpuFlags(): string[] {
  try {
    const [, flags] = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8')) ?? []
    if (flags) return flags.split(/\s+/).filter(Boolean).sort()
  } catch {
    // Not Linux.
  }
  return [cpus()[0]?.model ?? 'unknown']
}
