import { isSupported, zeros } from './elements.ts'
import { OnnxSessionError, reasonOf, unknown } from './error.ts'
import { type ReadFeed, readFeed } from './feed.ts'
import type { MediaReader } from './media.ts'
import type { Ort, OrtSession, OrtTensor } from './ort.ts'
import type { Queue } from './queue.ts'
import { resolveShapes, show } from './shapes.ts'
import { OnnxTensor } from './tensor.ts'
import type { IoInfo, ModelInfo, RunOptions, Session, TargetChoice } from './types.ts'

/** A session on ONNX Runtime, with whatever is needed to talk to it. */
export interface OpenSession {
  ort: Ort
  raw: OrtSession
  /** Where calls into this runtime line up: releasing a session waits for its runs. */
  queue: Queue
  /** Outputs that stay on the device unless a run says otherwise; `true`: those that a run names. */
  keep?: readonly string[] | true | undefined
}

/** Whether an output is one of those named; `*` ends a name. `true` names none. */
export function isKept(output: string, names: readonly string[] | true): boolean {
  return (
    names !== true &&
    names.some((name) => (name.endsWith('*') ? output.startsWith(name.slice(0, -1)) : output === name))
  )
}

type AnyFeeds = { readonly [name: string]: unknown }
type AnyOutputs = { [name: string]: OnnxTensor }

/** The session; with `weights` each run is fed these too. `more` takes the place of what it has. All share everything else. */
export type SessionView = (weights?: { [input: string]: OrtTensor }, more?: object) => Session

/** The typed, checked session around one of ONNX Runtime. */
export function wrapSession(
  { ort, raw, queue, keep: always }: OpenSession,
  info: ModelInfo,
  choice: TargetChoice,
  media?: MediaReader,
): SessionView {
  const { inputs, outputs } = info
  const outputNames = outputs.map(({ name }) => name)
  /** Sequences and maps have no form in ONNX Runtime's JavaScript API: asking for them would fail the whole run. */
  const readable = outputs.filter(({ dtype }) => isSupported(dtype)).map(({ name }) => name)
  let disposal: Promise<void> | undefined

  function execute(
    feeds: ReadonlyMap<string, ReadFeed>,
    fetches: readonly string[],
    weights: { [input: string]: OrtTensor } | undefined,
    keep = always,
  ): Promise<AnyOutputs> {
    const tensors = [...feeds].map(([name, { data, dims }]): [string, OrtTensor] => {
      if (!raw.inputNames.includes(name))
        throw new OnnxSessionError('INPUT_UNSUPPORTED', `input "${name}" has a default value, which can't be replaced`)
      const { dtype } = inputs.find((input) => input.name === name)!
      return [name, 'location' in data ? (data as OrtTensor) : new ort.Tensor(dtype as never, data as never, dims!)]
    })
    return queue(async () => {
      try {
        const results = await raw.run({ ...weights, ...Object.fromEntries(tensors) }, fetches)
        const outputs: AnyOutputs = {}
        for (const name of fetches) {
          const tensor = results[name]!
          // `true` gives the memory on the device back.
          if (keep && !isKept(name, keep)) await tensor.getData(true)
          outputs[name] = new OnnxTensor(tensor)
        }
        return outputs
      } catch (error) {
        const given = [...feeds].map(([name, { dims }]) => `${name} [${dims}]`)
        throw new OnnxSessionError('RUN_FAILED', `the run failed with ${given}: ${reasonOf(error)}`, error)
      }
    })
  }

  function assertOpen(): void {
    if (disposal) throw new OnnxSessionError('SESSION_DISPOSED', 'the session has been disposed')
  }

  function dispose(): Promise<void> {
    disposal ??= queue(() => raw.release())
    return disposal
  }

  const view = (weights?: { [input: string]: OrtTensor }, more?: object) => ({
    ...choice,
    inputs,
    outputs,
    adapters: [],
    adapter: undefined,
    async withAdapter(name: string | undefined): Promise<unknown> {
      assertOpen()
      if (name === undefined) return view()
      throw unknown('adapter', name, [])
    },
    async run(given: AnyFeeds, options: RunOptions<string> = {}): Promise<AnyOutputs> {
      assertOpen()
      const fetches = options.outputs ?? readable
      for (const name of fetches) {
        if (!outputNames.includes(name)) throw unknown('output', name, outputNames)
      }
      // Without inputs the error is that of the first that is missing.
      const feeds = given ?? {}
      const named = media ? await media(feeds, inputs) : feeds
      return execute(readFeeds(inputs, named, options.checkShapes !== false), fetches, weights, options.keep)
    },
    async warmup(dims: { readonly [dim: string]: number } = {}): Promise<void> {
      assertOpen()
      const feeds = inputs
        .filter((input) => !input.optional)
        .map((input): [string, ReadFeed] => [input.name, zeroFeed(input, dims)])
      const results = await execute(new Map(feeds), readable, weights)
      for (const tensor of Object.values(results)) tensor.dispose()
    },
    dispose,
    [Symbol.asyncDispose]: dispose,
    ...more,
  })
  return view as unknown as SessionView
}

/** Reads and checks all feeds: names, element types, shapes. */
export function readFeeds(inputs: readonly IoInfo[], feeds: AnyFeeds, checkShapes: boolean): Map<string, ReadFeed> {
  const given = new Map(Object.entries(feeds).filter(([, value]) => value !== undefined))
  const names = inputs.map((input) => input.name)
  for (const name of given.keys()) if (!names.includes(name)) throw unknown('input', name, names)
  const read = new Map<string, ReadFeed>()
  for (const input of inputs) {
    const { name, optional, type, shape } = input
    if (given.has(name)) read.set(name, readFeed(name, supported(input), given.get(name)))
    else if (!optional)
      throw new OnnxSessionError('INPUT_MISSING', `input "${name}" is missing: ${type} ${shape ? show(shape) : ''}`)
  }
  resolveShapes(inputs, read, checkShapes)
  return read
}

function zeroFeed(input: IoInfo, sizes: { readonly [dim: string]: number }): ReadFeed {
  const dtype = supported(input)
  const { least = 1 } = (input.media ?? {}) as { least?: number }
  const dims = (input.shape ?? [1]).map((dim) => (typeof dim === 'number' ? dim : (dim && sizes[dim]) || least))
  return {
    dims,
    data: zeros(
      dtype,
      dims.reduce((product, size) => product * size, 1),
    ),
  }
}

function supported({ name, dtype, type }: IoInfo): string {
  if (isSupported(dtype)) return dtype
  throw new OnnxSessionError('INPUT_UNSUPPORTED', `input "${name}" is a ${type}, which JavaScript can't pass`)
}
