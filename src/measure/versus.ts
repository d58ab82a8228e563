import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { readModel } from '../graph/import.ts'
import type { Model } from '../graph/model.ts'
import type { Tensor } from '../graph/tensor.ts'
import { tensorType } from '../graph/types.ts'
import { writeModel } from '../graph/write.ts'
import { OnnxError } from '../onnx/errors.ts'
import { createOrtService } from '../ort/service.ts'
import type { SessionOptions } from '../ort/session.ts'
import { hiddenRows, maskOf } from './hidden.ts'
import { fixInputs, type WantedSizes } from './inputs/fixed.ts'
import { feedsFor, type InputSource } from './inputs/index.ts'
import { type Feeds, IsolatedOrt, type IsolatedSession } from './isolated.ts'
import { exposeValues, sharedValues } from './layers.ts'
import { asType, type Difference, difference, type Tolerance, worse } from './metrics.ts'
import { withRounding } from './rounded.ts'

/** How one value of two models differs, over all samples. */
export interface ValueDifference extends Difference {
  name: string
}

/** Two models on the same inputs. */
export interface Comparison {
  samples: number
  /** Samples in which every output is within the tolerance. */
  passed: number
  outputs: ValueDifference[]
  /** Values inside that both have, in the order of computation; empty unless asked for. */
  intermediates: ValueDifference[]
}

export interface VersusOptions extends InputSource {
  tolerance: Tolerance
  /** Sizes of made-up inputs. */
  sizes?: WantedSizes | undefined
  /** Execution provider of both, e.g. `cuda`. Default: the CPU. */
  provider?: string | undefined
  /** Also compares the values that both models have inside. */
  intermediates?: boolean
}

/** Values fetched in one run when looking inside of models: bounds the memory. */
const AT_A_TIME = 64

/** Runs two versions of a model on the same inputs in a process apart. Close it when done. */
export class Versus {
  readonly #ort = new IsolatedOrt()
  readonly #folder: string
  readonly #files: readonly [string, string]
  /** What errors name: a file of the user's. */
  readonly #places: readonly [string, string]
  readonly #models: readonly [Model, Model]
  #feeds: Feeds[] | undefined
  #provider: string | undefined

  /**
   * @param candidate the changed model: a file, or a model in memory
   * @param rounded whether every result in float16 is rounded, as on a GPU
   */
  static async open(reference: string, candidate: string | Model, rounded = false): Promise<Versus> {
    const folder = mkdtempSync(join(tmpdir(), 'unplugin-onnx-'))
    const fileOf = async (given: string | Model, name: string): Promise<string> => {
      const model = rounded ? await withRounding(typeof given === 'string' ? readModel(given) : given) : undefined
      if (model === undefined && typeof given === 'string') return given
      return write(model ?? (given as Model), join(folder, name))
    }
    try {
      const files = [await fileOf(reference, 'reference.onnx'), await fileOf(candidate, 'candidate.onnx')] as const
      const places = [reference, typeof candidate === 'string' ? candidate : reference] as const
      return new Versus(folder, files, places)
    } catch (error) {
      rmSync(folder, { recursive: true, force: true })
      throw error
    }
  }

  private constructor(folder: string, files: readonly [string, string], places: readonly [string, string]) {
    this.#folder = folder
    this.#files = files
    this.#places = places
    this.#models = [readModel(files[0]), readModel(files[1])]
    adoptShapes(...this.#models)
  }

  /**
   * Compares all outputs.
   *
   * @throws OnnxError `ORT_REFUSED`, `ORT_RUN_FAILED` or `ORT_CRASHED`, placed in the model's file; `INPUTS_DIFFER` or
   * `OUTPUTS_DIFFER` where one is missing
   */
  async compare(options: VersusOptions): Promise<Comparison> {
    if (options.sizes) fixInputs(this.#models[0], options.sizes)
    this.#provider = options.provider
    const [reference, candidate] = [await this.#open(0), await this.#open(1)]
    try {
      this.#feeds ??= await feedsFor(this.#models[0], reference, options).catch((error) => {
        throw placed(error, this.#places[0])
      })
      const missing = candidate.inputs.find(({ name }) => this.#feeds!.some((feeds) => !feeds[name]))
      if (missing)
        throw new OnnxError(
          'INPUTS_DIFFER',
          `it takes an input "${missing.name}", which the other model does not have`,
          {
            place: { file: this.#places[1] },
            hint: `The other one takes ${reference.inputs.map(({ name }) => name).join(', ') || 'nothing'}.`,
          },
        )
      const outputs = new Map<string, Difference>()
      let passed = 0
      for (const feeds of this.#feeds) {
        const expected = await reference.run(feeds).catch((error) => {
          throw placed(error, this.#places[0])
        })
        const found = await candidate.run(feedsOf(candidate, feeds)).catch((error) => {
          throw placed(error, this.#places[1])
        })
        const rows = differences(found, expected, options.tolerance, feeds)
        for (const [name, row] of rows) outputs.set(name, outputs.has(name) ? worse(outputs.get(name)!, row) : row)
        if ([...rows.values()].every(({ outside }) => outside === 0)) passed++
      }
      return {
        samples: this.#feeds.length,
        passed,
        outputs: [...outputs].map(([name, row]) => ({ name, ...row })),
        intermediates: options.intermediates ? await this.lookInside(options) : [],
      }
    } finally {
      await Promise.allSettled([reference.release(), candidate.release()])
    }
  }

  /** Compares the values that both models have inside, on the first sample. Call `compare` before. */
  async lookInside({ tolerance }: Pick<VersusOptions, 'tolerance'>): Promise<ValueDifference[]> {
    const feeds = this.#feeds?.[0]
    if (!feeds) return []
    const { inferTypes } = createOrtService()
    const models = this.#files.map((file) => readModel(file)) as [Model, Model]
    for (const model of models) await inferTypes(model, { scalars: false })
    const names = sharedValues(...models)
    const sessions: IsolatedSession[] = []
    try {
      for (const [i, model] of models.entries()) {
        exposeValues(model, names)
        sessions.push(await this.#ort.open(await write(model, join(this.#folder, `inside-${i}.onnx`)), this.#options))
      }
      const [reference, candidate] = sessions as [IsolatedSession, IsolatedSession]
      const rows: ValueDifference[] = []
      for (let at = 0; at < names.length; at += AT_A_TIME) {
        const wanted = names.slice(at, at + AT_A_TIME)
        const expected = await reference.run(feeds, wanted)
        const found = await candidate.run(feedsOf(candidate, feeds), wanted)
        for (const [name, row] of differences(found, expected, tolerance, feeds)) rows.push({ name, ...row })
      }
      // A value of another shape only shares the name.
      return rows.filter(({ mismatch }) => mismatch === undefined)
    } finally {
      await Promise.allSettled(sessions.map((session) => session.release()))
    }
  }

  /** The inputs that `compare` used. */
  get feeds(): readonly Feeds[] {
    return this.#feeds ?? []
  }

  /** Outputs of the reference that differ from run to run by more than the tolerance. Call `compare` before. */
  async randomOutputs(tolerance: Tolerance): Promise<Set<string>> {
    const session = await this.#open(0)
    try {
      const feeds = this.#feeds?.[0] ?? {}
      const rows = differences(await session.run(feeds), await session.run(feeds), tolerance, feeds)
      return new Set([...rows].filter(([, { outside }]) => outside > 0).map(([name]) => name))
    } finally {
      await session.release()
    }
  }

  /** The node of the reference that computes a value, as errors name it. */
  labelOf(name: string): string {
    const node = [...this.#models[0].graph.nodes()].find(({ outputs }) => outputs.some((value) => value?.name === name))
    return node ? `${node.qualifiedType} ${node.label}` : name
  }

  /** A provider by itself: in a list with the CPU, one that is not there would be left out without a word. */
  get #options(): SessionOptions {
    return this.#provider === undefined ? {} : { executionProviders: [this.#provider] }
  }

  /** Ends the process and removes temporary files. */
  close(): void {
    this.#ort.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #open(which: 0 | 1): Promise<IsolatedSession> {
    const file = this.#files[which]
    return this.#ort.open(file, this.#options).catch((error) => {
      throw placed(error, this.#places[which])
    })
  }
}

async function write(model: Model, file: string): Promise<string> {
  await writeModel(model, file, { location: `${basename(file)}_data` })
  return file
}

/** Sizes that the candidate fixes are those to make inputs for. */
function adoptShapes(reference: Model, candidate: Model): void {
  const fixed = new Map(candidate.graph.inputs.map((value) => [value.name, value.shape]))
  for (const input of reference.graph.inputs) {
    const [own, other] = [input.shape, fixed.get(input.name)]
    if (!input.type || input.tensor || !own || other?.length !== own.length) continue
    input.type = tensorType(
      input.dtype,
      own.map((dim, i) => (typeof other[i] === 'number' ? other[i] : dim)),
    )
  }
}

/** Feeds in the types that the session takes, without those it has no input for. */
export function feedsOf(session: IsolatedSession, feeds: Feeds): Feeds {
  return Object.fromEntries(
    session.inputs.flatMap(({ name, type }) => (feeds[name] ? [[name, asType(feeds[name], type)]] : [])),
  )
}

function differences(
  found: Readonly<Record<string, Tensor>>,
  expected: Readonly<Record<string, Tensor>>,
  tolerance: Tolerance,
  feeds: Feeds,
): Map<string, Difference> {
  const mask = maskOf(feeds)
  return new Map(
    Object.entries(expected).map(([name, tensor]) => {
      const other = found[name]
      if (!other)
        throw new OnnxError('OUTPUTS_DIFFER', `only one of the two models has the output "${name}"`, {
          hint: 'Models are compared by the names of their outputs.',
        })
      return [name, difference(other, tensor, tolerance, mask && hiddenRows(tensor, mask))]
    }),
  )
}

function placed(error: unknown, file: string): unknown {
  return error instanceof OnnxError ? error.at({ file }) : error
}
