/** What went wrong, for code that wants to react. */
export type ErrorCode =
  /** A feed's name is not an input of the model. */
  | 'INPUT_UNKNOWN'
  /** An input without default value was not fed. */
  | 'INPUT_MISSING'
  /** A feed's element type is not the input's, or an element is no value of that type. */
  | 'INPUT_DTYPE'
  /** A feed's shape is not the declared one, or contradicts another input. */
  | 'INPUT_SHAPE'
  /** A flat array fits several shapes: give `{ data, dims }`. */
  | 'INPUT_AMBIGUOUS'
  /** ONNX Runtime can't take this input from JavaScript. */
  | 'INPUT_UNSUPPORTED'
  /** An image without pixels, or nothing that is one. */
  | 'INPUT_IMAGE'
  /** Sound without samples, too short, with samples that are no numbers, or nothing that is sound. */
  | 'INPUT_SOUND'
  /** A text could not be made tokens of. */
  | 'INPUT_TEXT'
  /** A token that the model does not have. */
  | 'INPUT_TOKEN'
  /** `outputs` names something the model does not give. */
  | 'OUTPUT_UNKNOWN'
  /** An output that was to be an image is none. */
  | 'OUTPUT_IMAGE'
  /** The values of an output are on a device: `await tensor.getData()`. */
  | 'OUTPUT_ON_DEVICE'
  | 'RUN_FAILED'
  | 'SESSION_FAILED'
  | 'SESSION_DISPOSED'
  | 'TARGET_UNKNOWN'
  /** The model was built without an adapter of this name. */
  | 'ADAPTER_UNKNOWN'
  /** The model or its external data could not be read, or is not the file that was built. */
  | 'DOWNLOAD_FAILED'
  /** The model is no decoder that can be driven. */
  | 'GENERATE_MODEL'
  /** An option of `generate` is out of range. */
  | 'GENERATE_OPTION'

/** An error of a model's session. */
export class OnnxSessionError extends Error {
  override name = 'OnnxSessionError'
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

/** A name that is none of those that there are. */
export function unknown(
  kind: 'input' | 'output' | 'adapter' | 'target',
  name: string | undefined,
  names: readonly string[],
): OnnxSessionError {
  const known = names.map((one) => `"${one}"`).join(', ') || 'none'
  const code = `${kind.toUpperCase()}_UNKNOWN` as ErrorCode
  return new OnnxSessionError(code, `no ${kind} "${name}"; there is ${known}`)
}

/** The text of whatever was thrown. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
