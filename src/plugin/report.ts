import { statSync } from 'node:fs'
import pc from 'picocolors'
import { ortEntry, runtimeOf } from '../codegen/entries.ts'
import type { As } from '../options/index.ts'
import type { Artifact } from '../pipeline/index.ts'
import { buildTable, noteLines } from '../report/index.ts'
import type { BuiltImport } from './models.ts'
import { findWebRuntime } from './onnxruntime-web.ts'

/** Where a bundler wants messages of plugins to go. */
export interface Log {
  info(message: string): void
  warn(message: string): void
}

/** Prints the table of what was built, and warnings. */
export function report(built: readonly BuiltImport[], root: string, log: Log): void {
  if (built.length === 0) return
  const rows = new Map(
    built.flatMap(({ id, as, variants }) =>
      variants.map(({ options, artifact }) => {
        const label = id.query ? `?${id.query}` : ''
        const sizes = Object.values(options.frozen ?? {})
        const target = [options.target ?? options.device, ...sizes].join(' ')
        const firstLoad = firstLoadOf(options.device, artifact, root, as)
        const adapters = artifact.adapters.map(({ adapter, bytes }) => ({ name: adapter, bytes }))
        return [
          [id.file, label, target].join(),
          { label, target, report: artifact.report, firstLoad, adapters },
        ] as const
      }),
    ),
  )
  log.info(`onnx models:\n${buildTable([...rows.values()], { root, color: pc.isColorSupported, maxNotes: 0 })}`)
  for (const line of noteLines(
    [...rows.values()].map((row) => row.report),
    'warn',
  ))
    log.warn(line)
}

/**
 * What a browser downloads until the first run on a device, in bytes: the model with its data, ONNX Runtime's code and its wasm,
 * as they are on disk; the model alone where an import gives no session. Adapters come when they are asked for. Undefined for servers, for
 * what is known of a model alone (`as=info`), and where the runtime is not installed.
 */
export function firstLoadOf(
  device: string,
  { model, external }: Artifact,
  root: string,
  as: As = 'session',
): number | undefined {
  if (runtimeOf(device) !== 'web' || as === 'info') return undefined
  try {
    const parts = [model, ...external].map(({ bytes }) => bytes)
    if (as === 'session') {
      const { entry, mjs, wasm } = findWebRuntime(ortEntry(device, 'web'), root)
      parts.push(...[entry, mjs.file, wasm.file].map((file) => statSync(file).size))
    }
    return parts.reduce((sum, bytes) => sum + bytes, 0)
  } catch {
    return undefined
  }
}
