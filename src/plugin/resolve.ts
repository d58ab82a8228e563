import { existsSync } from 'node:fs'
import { dirname, isAbsolute, resolve } from 'node:path'
import type { PluginBuild } from 'esbuild'
import type { Hook } from './emit/emitter.ts'
import { type Framework, isRollupFamily } from './environment.ts'
import { cut, RESOLVE_MARK } from './id.ts'

/** Resolves a specifier (without query) as the bundler would; undefined when it can't. */
export type Resolve = (hook: Hook, specifier: string, importer: string | undefined) => Promise<string | undefined>

interface RollupContext {
  resolve(specifier: string, importer?: string, options?: { skipSelf: boolean }): Promise<{ id: string } | null>
}

interface WebpackResolver {
  resolve(
    context: object,
    folder: string,
    request: string,
    resolveContext: object,
    callback: (error: Error | null, path?: string | false) => void,
  ): void
}

interface WebpackCompiler {
  context: string
  resolverFactory: { get(type: string, options: object): WebpackResolver }
}

interface FarmContext {
  resolve(
    param: { source: string; importer: string; kind: string },
    hook: { meta: object; caller: string },
  ): Promise<{ resolvedPath?: string } | null>
}

/**
 * The resolution of one bundler. Relative and absolute names need none, except in the Rollup family where other plugins
 * (aliases, Vite's root) may have a say in everything. A marked specifier tells our own hook to stay out of it.
 */
export function resolverOf(framework: Framework, root: () => string): Resolve {
  if (isRollupFamily(framework))
    return async (hook, specifier, importer) =>
      (await (hook as unknown as RollupContext).resolve(specifier, importer, { skipSelf: true }))?.id
  const own = others[framework]
  return async (hook, specifier, importer) => {
    const folder = importer ? dirname(cut(importer, '?')[0]) : root()
    if (isAbsolute(specifier) && existsSync(specifier)) return specifier
    if (/^\.\.?\//.test(specifier)) {
      const path = resolve(folder, specifier)
      return existsSync(path) ? path : undefined
    }
    const found = await own(hook, `${specifier}?${RESOLVE_MARK}`, importer ?? '', folder)
    return found ? cut(found, '?')[0] : undefined
  }
}

type NativeResolve = (hook: Hook, marked: string, importer: string, folder: string) => Promise<string | undefined>

const webpackLike: NativeResolve = (hook, marked, importer, folder) => {
  const { compiler } = hook.getNativeBuildContext!() as unknown as { compiler: WebpackCompiler }
  const resolver = compiler.resolverFactory.get('normal', { dependencyType: 'esm' })
  return new Promise((done) =>
    resolver.resolve({ issuer: importer }, folder, marked, {}, (_error, path) => done(path || undefined)),
  )
}

const others: Record<'webpack' | 'rspack' | 'esbuild' | 'farm', NativeResolve> = {
  webpack: webpackLike,
  rspack: webpackLike,
  esbuild: async (hook, marked, importer, folder) => {
    const { build } = hook.getNativeBuildContext!() as unknown as { build: PluginBuild }
    const result = await build.resolve(marked, { importer, resolveDir: folder, kind: 'import-statement' })
    return result.errors.length ? undefined : result.path
  },
  farm: async (hook, marked, importer) => {
    const { context } = hook.getNativeBuildContext!() as unknown as { context: FarmContext }
    const hookContext = { meta: {}, caller: 'unplugin-onnx' }
    const result = await context.resolve({ source: marked, importer, kind: 'import' }, hookContext).catch(() => null)
    return result?.resolvedPath
  },
}
