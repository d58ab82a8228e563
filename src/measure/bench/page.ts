/** A model for the page, all by URL. */
export interface PageModel {
  device: string
  threads: number
  url: string
  external: { path: string; data: string }[]
  /** `array` names the typed array of the element type, if there is one. */
  feeds: { name: string; type: string; array: string | undefined; dims: number[]; url: string }[]
  /** Runs before anything counts; at least 1. */
  warmUp: number
}

/** What the page says once the model is ready. */
export interface PageResult {
  loadMs: number
  threads: number
  /** Milliseconds of the runs for warming up. */
  warmUp: number[]
  memory?: number
}

interface WebOrt {
  env: { logLevel: string; wasm: { numThreads: number } }
  InferenceSession: {
    create(model: Uint8Array, options: object): Promise<{ run(feeds: object): Promise<Record<string, WebTensor>> }>
  }
  Tensor: new (type: string, data: unknown, dims: readonly number[]) => unknown
}
interface WebTensor {
  getData(): Promise<unknown>
  dispose(): void
}

/**
 * Runs in the browser's page, sent there as its source: it may use nothing from outside of itself
 * but `globalThis.ort`, which the page has loaded. Loads a model and leaves
 * `globalThis.bench(runs)`, which gives the milliseconds of each run; a run ends when its outputs can be read.
 */
export async function runInPage(job: PageModel): Promise<PageResult> {
  const bytesOf = async (url: string): Promise<ArrayBuffer> => {
    const response = await fetch(url)
    if (!response.ok) throw new Error(`${url}: ${response.status}`)
    return response.arrayBuffer()
  }
  const { navigator } = globalThis as { navigator?: { gpu?: { requestAdapter(): Promise<unknown> } } }
  if (job.device === 'webgpu' && !(await navigator?.gpu?.requestAdapter())) throw new Error('no WebGPU adapter')
  const { ort } = globalThis as unknown as { ort: WebOrt }
  ort.env.logLevel = 'error'
  ort.env.wasm.numThreads = job.threads
  const feeds: Record<string, unknown> = {}
  const arrays = globalThis as unknown as Record<string, new (buffer: ArrayBuffer) => unknown>
  for (const { name, type, array, dims, url } of job.feeds) {
    const Data = array && arrays[array]
    if (!Data) throw new Error(`inputs of ${type} are not passed to the browser`)
    feeds[name] = new ort.Tensor(type, new Data(await bytesOf(url)), dims)
  }
  const model = new Uint8Array(await bytesOf(job.url))
  const externalData = await Promise.all(
    job.external.map(async ({ path, data }) => ({ path, data: new Uint8Array(await bytesOf(data)) })),
  )
  const start = performance.now()
  const session = await ort.InferenceSession.create(model, {
    executionProviders: [job.device],
    graphOptimizationLevel: 'all',
    ...(externalData.length ? { externalData } : {}),
  })
  const loadMs = performance.now() - start
  const bench = async (count: number): Promise<number[]> => {
    const times: number[] = []
    for (let i = 0; i < count; i++) {
      const begin = performance.now()
      const results = await session.run(feeds)
      for (const tensor of Object.values(results)) {
        await tensor.getData()
        tensor.dispose()
      }
      times.push(performance.now() - begin)
    }
    return times
  }
  ;(globalThis as { bench?: typeof bench }).bench = bench
  const warmUp = await bench(job.warmUp)
  const measure = (performance as { measureUserAgentSpecificMemory?: () => Promise<{ bytes: number }> })
    .measureUserAgentSpecificMemory
  const memory = measure
    ? await Promise.race([
        measure.call(performance).then(
          ({ bytes }) => bytes,
          () => undefined,
        ),
        new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 3000)),
      ])
    : undefined
  return { loadMs, threads: ort.env.wasm.numThreads, warmUp, ...(memory === undefined ? {} : { memory }) }
}
