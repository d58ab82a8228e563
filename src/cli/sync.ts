import { readFile } from 'node:fs/promises'
import { relative, resolve, sep } from 'node:path'
import { bySize, unfrozen } from '../codegen/frozen.ts'
import { findImports, type ModelImport } from '../codegen/imports.ts'
import { generateTypes, type TypesEntry } from '../codegen/types.ts'
import { writeIfChanged } from '../codegen/write.ts'
import { OnnxError } from '../onnx/errors.ts'
import type { Sizes } from '../options/frozen.ts'
import { cacheSettings, type PluginOptions, resolveRequest } from '../options/index.ts'
import { createPipeline, type ModelInfo, type Pipeline } from '../pipeline/index.ts'
import { EXIT, type Invocation, type Io } from './command.ts'
import { loadConfig } from './config.ts'

/** `sync`: types of all imports, before the first build of the bundler. */
export async function run({ operands, flags }: Invocation, io: Io): Promise<number> {
  const root = resolve(io.cwd, (flags['root'] as string | undefined) ?? '.')
  const plugin = await loadConfig(flags['config'], io.cwd, root)
  const { imports, problems } = await findImports(root, operands)
  const pipeline = createPipeline({ root, cache: cacheSettings(plugin) })
  const errors: OnnxError[] = []
  const entries: TypesEntry[] = []
  try {
    await Promise.all(
      imports.map(async (model) => {
        try {
          entries.push(await typesOf(model, plugin, root, pipeline))
        } catch (error) {
          if (!(error instanceof OnnxError)) throw error
          errors.push(error)
        }
      }),
    )
  } finally {
    await pipeline.close()
  }
  const { code, warnings } = generateTypes(entries)
  const dts = (flags['dts'] as string | undefined) ?? (typeof plugin.dts === 'string' ? plugin.dts : 'onnx-models.d.ts')
  const file = resolve(root, dts)
  const changed = flags['check']
    ? (await readFile(file, 'utf8').catch(() => undefined)) !== code
    : errors.length === 0 && (await writeIfChanged(file, code))
  for (const text of [...problems, ...warnings]) io.err(`warning: ${text}`)
  for (const error of errors) io.err(error.message)
  const name = relative(io.cwd, file)
  if (flags['json'])
    io.out(
      JSON.stringify(
        { file, changed, imports, warnings: [...problems, ...warnings], errors: errors.map((error) => error.message) },
        undefined,
        2,
      ),
    )
  else if (errors.length === 0)
    io.out(
      `${name}: ${entries.length} imports, ${flags['check'] && changed ? 'not up to date' : changed ? 'written' : 'up to date'}`,
    )
  return errors.length > 0 || (flags['check'] && changed) ? EXIT.failed : EXIT.ok
}

async function typesOf(
  { file, query, importSite }: ModelImport,
  plugin: PluginOptions,
  root: string,
  pipeline: Pipeline,
): Promise<TypesEntry> {
  const { as, targets } = resolveRequest({ plugin, query, file, root, importSite })
  const variants =
    as === 'session'
      ? await Promise.all(
          targets.map(async (options) => {
            const { info, adapters } = await pipeline.build({ file, options, importSite })
            const names = adapters.map(({ adapter }) => adapter)
            const { target = options.device, frozen } = options
            return { target, frozen, info, ...(names.length ? { adapters: names } : {}) }
          }),
        )
      : []
  return {
    file: relative(root, file).split(sep).join('/'),
    query,
    as,
    variants: bySize(variants).map((group) => joined(group)),
  }
}

/** Sizes of one model as one variant, with the names of the dimensions that differ. */
function joined(
  group: readonly { info: ModelInfo; frozen?: Sizes | undefined; target: string; adapters?: string[] }[],
) {
  const sizes = group.flatMap(({ info, frozen }) => (frozen ? [{ info, frozen }] : []))
  const { target, info, adapters } = group[0]!
  return { target, info: sizes.length > 1 ? unfrozen(sizes) : info, ...(adapters ? { adapters } : {}) }
}
