/** Where in the user's world an error belongs: the model's file, a node of it, the import that asked for it. */
export interface ErrorPlace {
  /** The model file, as the user wrote or would recognise it. */
  file?: string | undefined
  /** The node's name, or `OpType -> first output` where it has none. */
  node?: string | undefined
  /** The module (and line, where known) that imports the model. */
  importSite?: string | undefined
}

const BRAND = Symbol.for('unplugin-onnx.OnnxError')

/**
 * An error that the user can act on. `message` says what is wrong; `hint` says what to do. Everything that this project
 * throws on bad input is one of these; any other error is a bug.
 */
export class OnnxError extends Error {
  /** True for errors of any copy of this class: the built program has one in each of its files that stand alone. */
  static override [Symbol.hasInstance](value: unknown): value is OnnxError {
    return typeof value === 'object' && value !== null && Object.getPrototypeOf(value)?.[BRAND] === true
  }

  override name = 'OnnxError'
  /** Stable machine-readable code, e.g. `MODEL_TRUNCATED`. */
  readonly code: string
  /** The message without place and hint. */
  readonly what: string
  readonly hint: string | undefined
  place: ErrorPlace

  constructor(code: string, what: string, options: { hint?: string; place?: ErrorPlace; cause?: unknown } = {}) {
    super(what, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.what = what
    this.hint = options.hint
    this.place = options.place ?? {}
    this.message = this.render()
  }

  /** Adds what a caller further out knows (file, import site) where it is still unknown, and returns the same error. */
  at(place: ErrorPlace): this {
    this.place = { ...place, ...Object.fromEntries(Object.entries(this.place).filter(([, v]) => v !== undefined)) }
    this.message = this.render()
    return this
  }

  /** What `--json` prints. */
  toJSON(): { code: string; message: string; hint: string | undefined } & ErrorPlace {
    return { code: this.code, message: this.what, hint: this.hint, ...this.place }
  }

  private render(): string {
    const { file, node, importSite } = this.place
    const where = [file && `in ${file}`, node && `at node ${node}`, importSite && `imported by ${importSite}`].filter(
      Boolean,
    )
    return [
      `[${this.code}] ${this.what}`,
      where.length ? `  ${where.join(', ')}` : '',
      this.hint ? `  ${this.hint}` : '',
    ]
      .filter(Boolean)
      .join('\n')
  }
}

Object.defineProperty(OnnxError.prototype, BRAND, { value: true })
