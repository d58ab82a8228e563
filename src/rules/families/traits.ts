import type { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import type { Value } from '../../graph/value.ts'
import { constantOf, numberOf } from '../../rewrite/index.ts'

/** What a model's graph shows of its kind, found out when asked for. Names count only where they are a graph input's. */
export class Traits {
  readonly producer: string
  readonly #inputs: readonly Value[]
  readonly #byOp = new Map<string, Node[]>()

  constructor(model: Model) {
    this.producer = model.extra.producerName ?? ''
    this.#inputs = model.graph.inputs.filter(({ tensor }) => !tensor)
    for (const node of model.allNodes()) {
      const list = this.#byOp.get(node.opType)
      if (list) list.push(node)
      else this.#byOp.set(node.opType, [node])
    }
  }

  /** True if one of these operators is there, of any domain. */
  has(...ops: readonly string[]): boolean {
    return ops.some((op) => this.#byOp.has(op))
  }

  /** True if an input's name fits. */
  hasInput(name: RegExp): boolean {
    return this.#inputs.some((input) => name.test(input.name))
  }

  get hasAttention(): boolean {
    return this.has('Softmax', 'Attention', 'MultiHeadAttention', 'GroupQueryAttention')
  }

  /** Takes ids of words. */
  get readsTokens(): boolean {
    return this.#inputs.some(({ rank, dtype }) => rank === 2 && /^int/.test(dtype ?? '')) && this.tables.length > 0
  }

  /** Takes images or what is laid out like them. */
  get readsImages(): boolean {
    return this.#inputs.some(({ rank, isFloat }) => rank === 4 && isFloat) && this.has('Conv', 'NhwcConv')
  }

  /** Convolutions along one dimension, as over sound. */
  get readsSound(): boolean {
    return this.#nodes('Conv').some((node) => constantOf(node.input(1))?.dims.length === 3)
  }

  /** Images are cut into patches by one convolution as wide as its step. */
  get cutsPatches(): boolean {
    return this.#nodes('Conv').some((node) => {
      const [strides, kernel] = [node.ints('strides') ?? [], constantOf(node.input(1))?.dims.slice(2) ?? []]
      return strides.length === 2 && strides[0]! > 1 && strides.join() === kernel.join()
    })
  }

  /** Images are parted into windows: rows and columns by window and place inside. */
  get partsWindows(): boolean {
    return this.#nodes('Transpose').some((node) => node.ints('perm')?.join() === '0,1,3,2,4,5')
  }

  get hasGroupNorm(): boolean {
    return this.has('InstanceNormalization', 'GroupNormalization', 'GroupNorm')
  }

  /** Norms without a mean. */
  get hasRmsNorm(): boolean {
    return this.#rmsNorms.length > 0
  }

  /** Query and key have RMS norms of their own. */
  get normsHeads(): boolean {
    return this.#rmsNorms.some((node) => node.input(0)?.rank === 4 || node.input(0)?.producer?.is('Reshape'))
  }

  /** Positions turn query and key: halves are swapped, one of them negated. */
  get hasRotary(): boolean {
    const swaps = (node: Node): boolean => {
      const [first, ...rest] = node.inputs
      const half = first?.producer?.is('Neg') ? first.producer.input(0)?.producer : undefined
      return rest.length === 1 && half !== undefined && ['Slice', 'Split'].includes(half.opType)
    }
    return this.has('RotaryEmbedding') || this.#nodes('Concat').some(swaps)
  }

  /** x * sigmoid(1.702 x). */
  get hasQuickGelu(): boolean {
    const isScaled = (node: Node): boolean =>
      node.input(0)?.producer?.inputs.some((value) => Math.abs((numberOf(value ?? undefined) ?? 0) - 1.702) < 1e-3) ??
      false
    return this.has('QuickGelu') || this.#nodes('Sigmoid').some(isScaled)
  }

  /** Gelu by its tanh approximation. */
  get hasTanhGelu(): boolean {
    return (
      this.has('FastGelu') || (this.has('Tanh') && this.#nodes('Pow').some((node) => numberOf(node.input(1)) === 3))
    )
  }

  /** Query, key and value come from one product that is split. */
  get splitsProjection(): boolean {
    return this.#nodes('Split').some((node) => {
      const readers = node.outputs.length
      let at = node.input(0)?.producer
      while (at && ['Reshape', 'Add', 'Identity'].includes(at.opType)) at = at.input(0)?.producer
      return readers === 3 && (at?.is('Gemm') || at?.is('MatMul') || false)
    })
  }

  /** A projection without bias goes to the heads. */
  get hasBareProjection(): boolean {
    return this.#nodes('MatMul').some(
      (node) => constantOf(node.input(1))?.dims.length === 2 && node.output().users.some((user) => user.is('Reshape')),
    )
  }

  /** Layers share their weights. */
  get repeatsLayers(): boolean {
    return this.#nodes('MatMul').some((node) => {
      const weight = node.input(1)
      return constantOf(weight)?.dims.length === 2 && weight!.users.filter((user) => user.is('MatMul')).length > 1
    })
  }

  /** Tables that embeddings are looked up in. */
  get tables(): readonly Value[] {
    const found = new Set<Value>()
    for (const node of this.#nodes('Gather')) {
      const table = node.input(0)
      if (table?.isFloat && constantOf(table)?.dims.length === 2 && node.int('axis', 0) === 0) found.add(table)
    }
    return [...found]
  }

  /** Embeddings are narrower than what the layers work on: their norm goes into a product that makes them wider. */
  get projectsEmbeddings(): boolean {
    const widths = new Set(this.tables.map(({ shape }) => shape![1]))
    return this.#nodes('MatMul').some((node) => {
      const [rows, columns] = constantOf(node.input(1))?.dims ?? []
      return widths.has(rows) && columns! > rows! && !this.#feedsActivation(node)
    })
  }

  #feedsActivation(node: Node): boolean {
    const next = node.output().onlyUser
    const after = next?.is('Add') ? next.output().users : next ? [next] : []
    return after.some((user) =>
      ['Div', 'Mul', 'Erf', 'Relu', 'Gelu', 'Pow', 'Tanh', 'Sigmoid', 'Reshape'].includes(user.opType),
    )
  }

  get #rmsNorms(): readonly Node[] {
    const squares = this.#nodes('ReduceMean').flatMap((node) => {
      const square = node.input(0)?.producer
      const isSquare = square?.is('Pow') || (square?.is('Mul') && square.input(0) === square.input(1))
      return square && isSquare && !square.input(0)?.producer?.is('Sub') ? [square] : []
    })
    return [...squares, ...this.#nodes('SimplifiedLayerNormalization'), ...this.#nodes('RMSNormalization')]
  }

  #nodes(op: string): readonly Node[] {
    return this.#byOp.get(op) ?? []
  }
}
