import { dirname } from 'node:path'
import sirv from 'sirv'
import type { Plugin, ResolvedConfig } from 'vite'
import { DEV_PREFIX, type DevFiles, devEmitter } from '../emit/dev.ts'
import type { Hook } from '../emit/emitter.ts'
import { RollupAssets, type RollupHook } from '../emit/rollup.ts'
import { environmentOf, viteEnvironment } from '../environment.ts'
import { cut, splitModelId } from '../id.ts'
import type { Models } from '../models.ts'
import { type Bundler, consoleLog } from './bundler.ts'
import { progressLines } from './progress.ts'
import { outputHooks } from './rollup.ts'
import { workerPlugins } from './vite-worker.ts'

/** Vite: builds for browsers and servers, and the dev server. */
export function vite(models: Models, finish: () => Promise<void>): Bundler {
  let config: ResolvedConfig | undefined
  const served: DevFiles = new Map()
  const assets = new RollupAssets()
  const built = assets.emitter((hook) => viteEnvironment(hook)?.config.build.assetsDir ?? 'assets')
  const dev = () => config?.command === 'serve'
  const plugin: Partial<Plugin> = {
    config: (given) => ({ worker: { plugins: workerPlugins(given, models.options) } }),
    // The bundle of a worker hands the model over under the name that the page's own import gives it.
    onLog: (_level, { code, message }) => !(code === 'FILE_NAME_CONFLICT' && /\.onnx(_\w+)? /.test(message)),
    configResolved(resolved) {
      config = resolved
      models.root = models.options.root ?? resolved.root
    },
    configureServer(server) {
      server.middlewares.use(devMiddleware(served, server.config.base))
      models.onProgress = progressLines(server.config.logger)
    },
    async hotUpdate({ file, modules }) {
      const { moduleGraph, hot } = this.environment
      const environment = environmentOf(this as unknown as Hook, undefined)
      const imports = [...moduleGraph.idToModuleMap.values()].flatMap((module) => {
        const model = module.id ? splitModelId(module.id) : undefined
        return model && !models.isArtifact(model.file) ? { module, model } : []
      })
      const isOptionsFile = models.isOptionsFile(file)
      // A mistake is told where the models are loaded again.
      const isBroken = isOptionsFile && (await isRejected(models.refresh()))
      const isTouched = await Promise.all(
        imports.map(({ module, model }) =>
          isOptionsFile
            ? isBroken || models.isOutdated(model, environment)
            : modules.includes(module) || models.dependsOn(model, environment, file),
        ),
      )
      const touched = imports.filter((_, i) => isTouched[i])
      // Vite takes a module that has never been loaded for one that nobody waits for.
      if (
        touched.some(
          ({ module, model }) => module.isSelfAccepting === undefined && models.hasFailed(model, environment),
        )
      )
        hot.send({ type: 'full-reload' })
      return [...new Set([...modules, ...touched.map(({ module }) => module)])]
    },
    resolveFileUrl: {
      order: 'pre',
      handler({ fileName, relativePath, format }) {
        // The browser's URL of an asset means nothing to a server: it needs the file beside its chunk.
        const hook = this as unknown as RollupHook
        if (viteEnvironment(hook as never)?.config.consumer !== 'server' || !assets.has(hook, fileName)) return null
        return format === 'cjs'
          ? `require('node:url').pathToFileURL(require('node:path').resolve(__dirname, ${JSON.stringify(relativePath)})).href`
          : `new URL(${JSON.stringify(relativePath)}, import.meta.url).href`
      },
    },
    ...(outputHooks(assets) as object),
    closeBundle: finish,
  }
  return {
    virtualIds: false,
    keepsModules: false,
    watches: () => true,
    goesOn: () => dev() || Boolean(config?.build.watch),
    // Told of the file, it takes it for the module that an import without a query is, which all others then depend on.
    watchesModel: (file) => dev() && file.startsWith(`${config?.root}/`),
    throwsErrors: false,
    importer: (given) => given,
    emitsWasm: dev,
    environment: () => undefined,
    emitter: (hook) =>
      dev() ? devEmitter(viteEnvironment(hook)?.config.consumer === 'server', config?.base ?? '/', served) : built,
    modules: (hook) => ({
      ownWrapper: true,
      externWasm: dev(),
      externalNode: !dev() && viteEnvironment(hook)?.config.consumer === 'server',
    }),
    log: {
      info: (message) => (config?.logger ?? consoleLog).info(message),
      warn: (message) => (config?.logger ?? consoleLog).warn(message),
    },
    hooks: { vite: plugin },
  }
}

function isRejected(promise: Promise<unknown>): Promise<boolean> {
  return promise.then(
    () => false,
    () => true,
  )
}

type Middleware = ReturnType<typeof sirv>

/** Serves files of builds where they are, by ranges and with revalidation. */
function devMiddleware(served: DevFiles, base: string): Middleware {
  const folders = new Map<string, Middleware>()
  const prefix = base.replace(/\/$/, '') + DEV_PREFIX
  return (request, response, next) => {
    const [path] = cut(request.url ?? '', '?')
    if (!path.startsWith(prefix)) return next?.()
    const file = served.get(path.slice(prefix.length - DEV_PREFIX.length))
    if (!file) {
      // Not the page that Vite gives for unknown paths: as a model or wasm it would only fail later, and less clearly.
      response.statusCode = 404
      response.end()
      return
    }
    const folder = dirname(file.file)
    let serve = folders.get(folder)
    if (!serve) {
      serve = sirv(folder, { dev: true, etag: true, dotfiles: true, setHeaders })
      folders.set(folder, serve)
    }
    // The prefix keeps a hash: the content behind a path never changes while its name does.
    const inFolder = Object.assign(Object.create(request) as typeof request, {
      url: `/${encodeURIComponent(file.file.slice(folder.length + 1))}`,
    })
    serve(inFolder, response, next)
  }
}

function setHeaders(response: { setHeader(name: string, value: string): void }, path: string): void {
  response.setHeader('Accept-Ranges', 'bytes')
  if (!/\.(?:mjs|wasm)$/.test(path)) response.setHeader('Content-Type', 'application/octet-stream')
  // A page with COOP and COEP headers, which threads need, may load it too.
  response.setHeader('Cross-Origin-Resource-Policy', 'cross-origin')
}
