import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Model } from '../../../graph/model.ts'
import type { Node } from '../../../graph/node.ts'
import { Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import { writeModel } from '../../../graph/write.ts'
import { feedsFor, type InputSource } from '../../../measure/inputs/index.ts'
import { type Feeds, IsolatedOrt, type IsolatedSession } from '../../../measure/isolated.ts'
import { withRounding } from '../../../measure/rounded.ts'
import { spellOut } from '../../../measure/spelled-out.ts'
import type { HalfConstants } from '../constants.ts'
import type { Plan } from '../plan.ts'
import { Instrumented, SWITCHES } from './instrument.ts'
import type { Judge, Outputs } from './judge.ts'
import { withRanges } from './ranges.ts'

/** Tries choices of float32 nodes on given inputs, in a process apart. Close it when done. */
export class Trial {
  /** Largest magnitude of every float32 value, over all inputs. */
  readonly ranges: ReadonlyMap<Value, number>
  /** How many times a choice was run. */
  runs = 0
  readonly #ort: IsolatedOrt
  readonly #folder: string
  readonly #model: Model
  readonly #constants: HalfConstants
  readonly #judge: Judge
  readonly #feeds: readonly Feeds[]
  readonly #expected: readonly Outputs[]
  #plan!: Plan
  #units: readonly Node[] = []
  #outputs: readonly string[] = []
  #session: IsolatedSession | undefined

  private constructor(state: {
    ort: IsolatedOrt
    folder: string
    model: Model
    constants: HalfConstants
    judge: Judge
    feeds: readonly Feeds[]
    expected: readonly Outputs[]
    ranges: ReadonlyMap<Value, number>
  }) {
    this.#ort = state.ort
    this.#folder = state.folder
    this.#model = state.model
    this.#constants = state.constants
    this.#judge = state.judge
    this.#feeds = state.feeds
    this.#expected = state.expected
    this.ranges = state.ranges
  }

  /**
   * Runs the float32 model on all inputs (its outputs are what choices are judged by) and measures ranges on the way. Say with
   * `follow` what is to be tried.
   *
   * @throws OnnxError if the float32 model does not run
   */
  static async open(model: Model, constants: HalfConstants, judge: Judge, source: InputSource): Promise<Trial> {
    const ort = new IsolatedOrt()
    const folder = mkdtempSync(join(tmpdir(), 'unplugin-onnx-'))
    try {
      const measured = withRanges(model)
      const reference = await openCopy(ort, folder, measured.model, 'float32')
      const feeds = await feedsFor(model, reference, source)
      const names = model.graph.outputs.map(({ name }) => name)
      const ranges = new Map<Value, number>()
      const expected: Outputs[] = []
      for (const feed of feeds) {
        const results = await reference.run(feed)
        expected.push(Object.fromEntries(names.flatMap((name) => (results[name] ? [[name, results[name]]] : []))))
        for (const [value, name] of measured.ranges)
          ranges.set(value, Math.max(ranges.get(value) ?? 0, results[name]?.toNumbers()[0] ?? 0))
      }
      await reference.release()
      return new Trial({ ort, folder, model, constants, judge, feeds, expected, ranges })
    } catch (error) {
      ort.close()
      rmSync(folder, { recursive: true, force: true })
      throw error
    }
  }

  /** Nodes that can be switched. */
  get units(): readonly Node[] {
    return this.#units
  }

  /** Opens the model, as it is now, so that the nodes of a plan can be switched. */
  async follow(plan: Plan): Promise<void> {
    await this.#session?.release()
    const instrumented = new Instrumented(this.#model, plan, this.#constants)
    this.#plan = plan
    this.#units = instrumented.units
    this.#outputs = instrumented.outputs
    this.#session = await openCopy(this.#ort, this.#folder, instrumented.model, 'switched')
  }

  /** True if the model is good enough with these units in float32. Stops at the first input for which it is not. */
  async passes(float32: ReadonlySet<number>): Promise<boolean> {
    this.runs++
    const found: Outputs[] = []
    for (const [i, feed] of this.#feeds.entries()) {
      const outputs = await this.#run(feed, float32)
      if (!this.#judge.isClose(outputs, this.#expected[i]!, feed)) return false
      found.push(outputs)
    }
    return this.#judge.accepts(found, this.#expected, this.#feeds)
  }

  /** True if `share` can be asked. */
  get isGraded(): boolean {
    return this.#judge.isGraded
  }

  /** The share of the allowed error that these units make when they alone are float16, at most over all inputs. */
  async share(float16: ReadonlySet<number>): Promise<number> {
    this.runs++
    const float32 = new Set(this.units.keys())
    for (const unit of float16) float32.delete(unit)
    let most = 0
    for (const [i, feed] of this.#feeds.entries())
      most = Math.max(most, this.#judge.share(await this.#run(feed, float32), this.#expected[i]!, feed))
    return most
  }

  async #run(feed: Feeds, float32: ReadonlySet<number>): Promise<Outputs> {
    const results = await this.#session!.run({ ...feed, ...this.#switches(float32) })
    const names = this.#model.graph.outputs.map(({ name }) => name)
    return Object.fromEntries(names.map((name, k) => [name, results[this.#outputs[k]!]!]))
  }

  /**
   * Units by how much they enlarge the relative error that reaches them, on the first input. What makes or takes the largest
   * error comes first, together with what makes its inputs.
   */
  async rank(float32: ReadonlySet<number>): Promise<number[]> {
    this.runs++
    const instrumented = new Instrumented(this.#model, this.#plan, this.#constants)
    const names = instrumented.addErrors()
    const session = await openCopy(this.#ort, this.#folder, instrumented.model, 'errors')
    const results = await session.run({ ...this.#feeds[0], ...this.#switches(float32) })
    await session.release()
    const errors = new Map<Node, number>()
    names.forEach((name, i) => {
      if (!name) return
      const [noise, signal] = [results[name.noise]?.toNumbers()[0] ?? 0, results[name.signal]?.toNumbers()[0] ?? 0]
      const ratio = noise / (signal || Number.MIN_VALUE)
      errors.set(this.units[i]!, Number.isNaN(ratio) ? Number.POSITIVE_INFINITY : ratio)
    })
    return rankBy(this.units, errors)
  }

  /** True if a converted model, as it will be shipped, is good enough: as this machine runs it, or with every result rounded. */
  async confirms(converted: Model, rounded: boolean): Promise<boolean> {
    this.runs++
    const model = (rounded ? await withRounding(converted) : undefined) ?? converted
    const session = await openModel(this.#ort, this.#folder, model, 'converted')
    const found: Outputs[] = []
    for (const feed of this.#feeds) found.push(await session.run(this.#judge.feedsOf(session, feed)))
    await session.release()
    return this.#judge.accepts(found, this.#expected, this.#feeds)
  }

  /** Ends the process and removes temporary files. */
  close(): void {
    this.#ort.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #switches(float32: ReadonlySet<number>): Feeds {
    const on = this.units.map((_, unit) => (float32.has(unit) ? 0 : 1))
    return { [SWITCHES]: Tensor.from('bool', [on.length], on) }
  }
}

/** Opens a model that is a copy made for this. */
async function openCopy(ort: IsolatedOrt, folder: string, model: Model, name: string): Promise<IsolatedSession> {
  // What is fused for a GPU already may have no kernel here.
  spellOut(model)
  return openModel(ort, folder, model, name)
}

async function openModel(ort: IsolatedOrt, folder: string, model: Model, name: string): Promise<IsolatedSession> {
  const file = join(mkdtempSync(join(folder, `${name}-`)), 'model.onnx')
  await writeModel(model, file, { location: 'model.onnx_data' })
  return ort.open(file)
}

/** Rounding alone gives each value this relative error (squared): less is as good as none. */
const ROUNDING = 2 ** -24

function rankBy(units: readonly Node[], errors: ReadonlyMap<Node, number>): number[] {
  const indices = new Map(units.map((node, i) => [node, i]))
  const growth = units.map((node) => {
    const producers = node.inputs.flatMap((value) => value?.producer ?? [])
    const before = Math.max(ROUNDING, ...producers.map((producer) => errors.get(producer) ?? 0))
    const after = errors.get(node) ?? 0
    // Where the error is infinite on both sides, it only passes through.
    return Number.isFinite(before) ? after / before : 0
  })
  const order = units.map((_, i) => i).sort((a, b) => growth[b]! - growth[a]! || a - b)
  const ranked = new Set<number>()
  for (const unit of order) {
    ranked.add(unit)
    // The error it enlarges is that of its inputs: they must not be rounded either.
    for (const value of units[unit]!.inputs) {
      const producer = value?.producer && indices.get(value.producer)
      if (producer !== undefined && growth[unit]! > 1) ranked.add(producer)
    }
  }
  return [...ranked]
}
