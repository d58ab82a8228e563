import { readFileSync } from 'node:fs'
import { build, type Plugin } from 'esbuild'
import type { Serve } from '../../support/chromium.ts'
import { root } from './emitted.ts'
import { ortFile } from './ort-web.ts'

/** For esbuild: `import model from 'model'` gives the emitted module with this code. */
export function emittedModel(code: string): Plugin {
  return {
    name: 'model',
    setup(host) {
      host.onResolve({ filter: /^model$/ }, () => ({ path: 'model', namespace: 'model' }))
      host.onLoad({ filter: /.*/, namespace: 'model' }, () => ({ contents: code, resolveDir: root }))
    },
  }
}

/**
 * What a page at `/app/` needs: `app`, a script that imports the emitted module as `model`, the files of onnxruntime-web under
 * `ort/`, and others: `fileOf` gives the path of a file by its name.
 */
export async function serveApp(
  app: string,
  code: string,
  fileOf: (name: string) => string | undefined,
): Promise<Serve> {
  const { outputFiles } = await build({
    stdin: { contents: app, resolveDir: root },
    plugins: [emittedModel(code)],
    bundle: true,
    splitting: true,
    write: false,
    outdir: '/app/assets',
    entryNames: 'main',
    format: 'esm',
    platform: 'browser',
    conditions: ['onnxruntime-web-use-extern-wasm'],
    logLevel: 'error',
  })
  const scripts = new Map(outputFiles.map(({ path, contents }) => [path, contents]))
  return (path) => {
    if (path === '/app/') return { body: '<script type="module" src="assets/main.js"></script>', type: 'text/html' }
    const script = scripts.get(path)
    if (script) return { body: script, type: 'text/javascript' }
    const file = path.startsWith('/app/') ? fileOf(path.slice('/app/'.length)) : undefined
    return file ? { body: readFileSync(file), type: 'application/octet-stream' } : ortFile(path)
  }
}
