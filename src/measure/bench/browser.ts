import { createReadStream, existsSync, statSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { dirname, extname, join } from 'node:path'
import type { Browser } from 'playwright-core'
import { OnnxError } from '../../onnx/errors.ts'
import { arrayNameOf } from '../../ort/tensors.ts'
import type { Feeds } from '../isolated.ts'
import { type PageModel, type PageResult, runInPage } from './page.ts'
import { median } from './statistics.ts'

/** Devices of a browser that can be measured. */
export type WebDevice = 'wasm' | 'webgpu'

/** A model with what to feed it. */
export interface WebContender {
  file: string
  feeds: Feeds
}

/** What one model took in the browser. */
export interface WebMeasurement {
  file: string
  /** Milliseconds of making the session, the download left out. */
  load: number
  threads: number
  /** Milliseconds by round and run. */
  rounds: number[][]
  /** Bytes of the page's memory, where the browser tells. */
  memory?: number
}

export interface WebBenchOptions {
  /** Folder to look for playwright-core and onnxruntime-web from. */
  root: string
  /** The external data of a model file: the name that the model has for it, and its path. */
  externalOf(file: string): readonly { location: string; path: string }[]
  threads: number
  warmUp: number
  rounds: number
}

/** Clocks of browsers are coarse: a round of one model takes at least about so many milliseconds. */
const ROUND_MS = 20

/** Where the browser is looked for, after CHROMIUM_PATH. */
const PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
]

/**
 * Runs models in pages of a headless Chromium, turn by turn, with the inputs that they have in Node. A model that fails gives
 * its error; the others are measured.
 *
 * @throws OnnxError `BROWSER_MISSING` without playwright-core or Chromium, `RUNTIME_MISSING` without onnxruntime-web
 */
export async function benchInBrowser(
  models: readonly WebContender[],
  device: WebDevice,
  { root, externalOf, threads, warmUp, rounds }: WebBenchOptions,
): Promise<(WebMeasurement | OnnxError)[]> {
  const runtime = runtimeFolder(root)
  const browser = await launch(root, device)
  const server = await serve(runtime, models, externalOf)
  try {
    const results: (WebMeasurement | OnnxError)[] = []
    const open: { index: number; loaded: PageResult; run: (count: number) => Promise<number[]> }[] = []
    for (const [index, model] of models.entries()) {
      const page = await browser.newPage()
      await page.goto(`${server.origin}/${device}`)
      await page.waitForFunction(() => 'ort' in globalThis)
      const job: PageModel = {
        device,
        threads,
        url: `/model/${index}`,
        external: externalOf(model.file).map(({ location }, i) => ({ path: location, data: `/data/${index}/${i}` })),
        feeds: Object.entries(model.feeds).map(([name, tensor]) => ({
          name,
          type: tensor.dtype!,
          array: arrayNameOf(tensor.dtype),
          dims: [...tensor.dims],
          url: `/feed/${index}/${encodeURIComponent(name)}`,
        })),
        warmUp: Math.max(1, warmUp),
      }
      try {
        if (job.feeds.some(({ type }) => type === 'string'))
          throw new Error('inputs of strings are not passed to the browser')
        const loaded = await page.evaluate(runInPage, job)
        const run = (count: number): Promise<number[]> =>
          page.evaluate(
            (count) => (globalThis as unknown as { bench(count: number): Promise<number[]> }).bench(count),
            count,
          )
        open.push({ index, loaded, run })
      } catch (error) {
        const [line] = (error as Error).message.replace(/^page\.evaluate: (Error: )?/, '').split('\n    at ')
        results[index] = new OnnxError('BROWSER_RUN_FAILED', `the browser can't run the model on ${device}: ${line}`, {
          place: { file: model.file },
        })
        await page.close()
      }
    }
    const times = open.map((): number[][] => [])
    for (let round = 0; round < rounds; round++)
      for (const [i, { loaded, run }] of open.entries())
        times[i]!.push(await run(Math.max(1, Math.round(ROUND_MS / median(loaded.warmUp.slice(-3))))))
    for (const [i, { index, loaded }] of open.entries())
      results[index] = {
        file: models[index]!.file,
        load: loaded.loadMs,
        threads: loaded.threads,
        rounds: times[i]!,
        ...(loaded.memory === undefined ? {} : { memory: loaded.memory }),
      }
    return results
  } finally {
    await browser.close()
    server.close()
  }
}

/** The folder of onnxruntime-web's builds. */
function runtimeFolder(root: string): string {
  for (const from of [join(root, 'index.js'), import.meta.url])
    try {
      return dirname(createRequire(from).resolve('onnxruntime-web/wasm'))
    } catch {
      // Looked for in the next place.
    }
  throw new OnnxError('RUNTIME_MISSING', 'onnxruntime-web is not installed', {
    hint: 'The browser runs models with it: npm install onnxruntime-web',
  })
}

async function launch(root: string, device: WebDevice): Promise<Browser> {
  const playwright = await loadPlaywright(root)
  const executablePath = [process.env['CHROMIUM_PATH'], ...PLACES].find((path) => path && existsSync(path))
  // The software adapter stands in where there is no GPU; a real one is taken where there is.
  const gpu = device === 'webgpu' ? ['--enable-unsafe-webgpu', ...softwareAdapter()] : ['--disable-gpu']
  // As root, which is usual in containers, Chromium's sandbox does not start.
  const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : []
  try {
    return await playwright.chromium.launch({
      ...(executablePath ? { executablePath } : {}),
      args: [...sandbox, ...gpu, '--js-flags=--expose-gc'],
    })
  } catch (cause) {
    throw new OnnxError('BROWSER_MISSING', `Chromium does not start: ${(cause as Error).message.split('\n')[0]}`, {
      hint: 'Set CHROMIUM_PATH to a Chromium or Chrome.',
      cause,
    })
  }
}

function softwareAdapter(): string[] {
  return process.platform === 'linux' && !existsSync('/dev/dri') ? ['--use-webgpu-adapter=swiftshader'] : []
}

async function loadPlaywright(root: string): Promise<typeof import('playwright-core')> {
  for (const from of [join(root, 'index.js'), import.meta.url])
    try {
      return createRequire(from)('playwright-core') as typeof import('playwright-core')
    } catch {
      // Looked for in the next place.
    }
  throw new OnnxError('BROWSER_MISSING', 'playwright-core is not installed', {
    hint: 'Chromium is driven by it: npm install -D playwright-core',
  })
}

const TYPES: Readonly<Record<string, string>> = { '.mjs': 'text/javascript', '.wasm': 'application/wasm' }

/** The module of the page is named here, as a page's own text is what no build tool rewrites. */
function pageOf(device: WebDevice): string {
  const script = `import * as ort from '/ort/ort.${device}.min.mjs'; globalThis.ort = ort`
  return `<!doctype html><title>bench</title><script type="module">${script}</script>`
}

/** Serves the page, ONNX Runtime, models and feeds, with the headers that threads need. */
async function serve(
  runtime: string,
  models: readonly WebContender[],
  externalOf: WebBenchOptions['externalOf'],
): Promise<{ origin: string; close(): void }> {
  const server: Server = createServer((request, response) => {
    response.setHeader('cross-origin-opener-policy', 'same-origin')
    response.setHeader('cross-origin-embedder-policy', 'require-corp')
    answer(request, response, runtime, models, externalOf)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  runtime: string,
  models: readonly WebContender[],
  externalOf: WebBenchOptions['externalOf'],
): void {
  const [, kind = '', index = '', ...rest] = new URL(request.url ?? '/', 'http://localhost').pathname
    .split('/')
    .map(decodeURIComponent)
  const model = models[Number(index)]
  const send = (file: string): void => {
    if (!existsSync(file)) return void response.writeHead(404).end()
    response.setHeader('content-type', TYPES[extname(file)] ?? 'application/octet-stream')
    response.setHeader('content-length', statSync(file).size)
    createReadStream(file).pipe(response)
  }
  if (kind === 'wasm' || kind === 'webgpu') response.setHeader('content-type', 'text/html').end(pageOf(kind))
  else if (kind === 'ort' && /^[\w.-]+$/.test(index)) send(join(runtime, index))
  else if (kind === 'model' && model) send(model.file)
  else if (kind === 'data' && model) send(externalOf(model.file)[Number(rest[0])]?.path ?? '')
  else if (kind === 'feed' && model?.feeds[rest[0] ?? '']) response.end(model.feeds[rest[0]!]!.bytes())
  else response.writeHead(404).end()
}
