import { OnnxError } from '../onnx/errors.ts'
import type { Sizes } from '../options/frozen.ts'
import type { ResultShape } from '../passes/pass.ts'
import type { ModelInfo } from '../pipeline/types.ts'
import { ortEntry, type RuntimeName, wrapperEntry } from './entries.ts'
import { bySize, unfrozen } from './frozen.ts'
import { literal } from './literal.ts'

/** Shape of the JS value of an import: `?as=...`. */
export type ImportShape = 'session' | 'url' | 'bytes' | 'path' | 'info'

/** A file that the emitted module refers to. */
export interface EmittedFile {
  /** For external data: the `location` that the model has for it. */
  name: string
  /** Size of the file. */
  bytes: number
  /**
   * JavaScript expression for its URL (a string or a `URL`): whatever the bundler needs, such as
   * `new URL('./a.onnx', import.meta.url).href`, `import.meta.ROLLUP_FILE_URL_x` or `"file:///..."`. In Node a path does too.
   */
  urlExpression: string
}

/** The file of an adapter. */
export interface EmittedAdapter extends EmittedFile {
  /** For adapters that are external data: the `location` that the model has for the file. */
  location?: string
  /** Where the weights are in the file, in the order of the model's `adapterInputs`. */
  tensors: readonly { offset: number; dims: readonly number[] }[]
}

/** One build of the model, for one target. */
export interface VariantInput {
  /** Name of the target: what `session.target` says. */
  target: string
  /** `cpu`, `wasm`, `webgpu`, ... */
  device: string
  info: ModelInfo
  /** Size of the model file. */
  bytes: number
  urlExpression: string
  /** External data of the model; empty if none. */
  external: readonly EmittedFile[]
  /** Adapters of the model. */
  adapters?: readonly EmittedAdapter[]
  /** The tokenizer of a model that takes text. */
  tokenizer?: EmittedFile
  /** WebGPU limits and how large they must be, and features (as 1), without which this variant can't run: `{ 'shader-f16': 1 }`. */
  requires?: Readonly<Record<string, number>>
  /** ONNX Runtime session options of the target, as plain JSON. The caller of the model can override each. */
  sessionOptions?: Readonly<Record<string, unknown>>
  /** Specifier of ONNX Runtime, where it is not the one of `ortEntry(device, runtime)`. */
  ort?: string
  /** Sizes at which dynamic dimensions of this variant are fixed, where there is one variant for each of several. */
  frozen?: Sizes
  /** JavaScript expressions for the URLs of the .mjs and .wasm files that belong to this ONNX Runtime entry. */
  wasm?: { mjs?: string; wasm?: string }
}

export interface ModuleInput {
  as: ImportShape
  /** In order of preference; at least one. All but `session` use the first. */
  variants: readonly VariantInput[]
  runtime: RuntimeName
  /** Specifier of the wrapper; `unplugin-onnx/runtime/<runtime>` unless said. */
  importRuntime?: string
}

/**
 * The JavaScript (ESM) module that an import of a model resolves to. Its default export is the session factory, or what
 * `as` asks for: the URL, an async function that gives the bytes, the file's path (Node only), or the model's info.
 */
export function generateModule(input: ModuleInput): string {
  const { as, runtime } = input
  const [first] = input.variants
  if (!first) throw new OnnxError('CODEGEN_NO_VARIANT', 'no variant of the model to make a module of')
  const wrapper = JSON.stringify(input.importRuntime ?? wrapperEntry(runtime))
  const url = `String(${first.urlExpression})`
  switch (as) {
    case 'info':
      return `export default ${literal(first.info)}\n`
    case 'url':
      return `export default ${url}\n`
    case 'bytes':
      return `import { loadBytes } from ${wrapper}\nexport default () => loadBytes(${url}, ${first.bytes})\n`
    case 'path':
      if (runtime === 'node') return `import { toPath } from ${wrapper}\nexport default toPath(${url})\n`
      throw new OnnxError('AS_PATH_IN_BROWSER', '`as=path` has no meaning in a browser', {
        hint: 'use `as=url`, or import it from server code',
      })
    case 'session':
      return sessionModule(input, wrapper)
  }
}

function sessionModule({ variants, runtime }: ModuleInput, wrapper: string): string {
  const infos: string[] = []
  const infoName = (info: ModelInfo): string => {
    const text = literal(info)
    if (!infos.includes(text)) infos.push(text)
    return `info${infos.indexOf(text)}`
  }
  const texts: string[] = []
  const textName = (text: string): string => {
    if (!texts.includes(text)) texts.push(text)
    return `text${texts.indexOf(text)}`
  }
  const result = variants[0]!.info.result?.kind
  const groups = bySize(variants)
  const definitions = groups.map((group) => {
    const [first] = group as [VariantInput]
    if (group.length === 1) return definition(first, { runtime, info: infoName(first.info), textName })
    const sizes = group.map((size) => {
      const files = size.external.length ? `, external: ${externalOf(size)}` : ''
      return `{ dims: ${literal(size.frozen)}, info: ${infoName(size.info)}, bytes: ${size.bytes}, url: ${size.urlExpression}${files} }`
    })
    const open = infoName(unfrozen(group as (VariantInput & { frozen: Sizes })[]))
    const all = { ...first, requires: largest(group) }
    return definition(all, { runtime, info: open, textName }, [`frozen: frozen([${sizes.join(', ')}])`])
  })
  const names = [
    ...new Set(variants.flatMap(({ adapters }) => (adapters?.length ? adaptersOf(adapters).name : []))),
    'defineModel',
    ...(groups.some((group) => group.length > 1) ? ['frozen'] : []),
    ...(variants.some((variant) => hasHalves(variant, runtime)) ? ['half'] : []),
    ...new Set(variants.flatMap((variant) => readersOf(variant))),
    ...(result ? ['predicting', RESULT_READERS[result]] : []),
  ]
  const model = `/* @__PURE__ */ defineModel([${definitions.join(', ')}])`
  const reader = result === 'answer' ? `readAnswer(${texts[0] ? 'text0' : ''})` : result && RESULT_READERS[result]
  return [
    `import { ${names.join(', ')} } from ${wrapper}`,
    ...infos.map((info, index) => `const info${index} = ${info}`),
    ...texts.map((text, index) => `const text${index} = /* @__PURE__ */ ${text}`),
    `export default ${reader ? `/* @__PURE__ */ predicting(${model}, ${reader})` : model}`,
    '',
  ].join('\n')
}

/** What all variants can run with. */
function largest(variants: readonly VariantInput[]): Record<string, number> {
  const requires: Record<string, number> = {}
  for (const variant of variants)
    for (const [name, least] of Object.entries(variant.requires ?? {}))
      requires[name] = Math.max(least, requires[name] ?? 0)
  return requires
}

/** What reads outputs as plain values. */
const RESULT_READERS: Readonly<Record<ResultShape['kind'], string>> = {
  classes: 'readClasses',
  detections: 'readDetections',
  answer: 'readAnswer',
  image: 'readPicture',
}

/** What a variant imports for inputs of images, sound or text: only models with such inputs bring the code for them. */
function readersOf(variant: VariantInput): string[] {
  const { info, tokenizer } = variant
  const text = info.inputs.some(({ media }) => media?.kind === 'text') && tokenizer ? ['loadBytes', 'readText'] : []
  return [...text, ...mediaReaders(variant).toSorted()]
}

/** What reads images or sound: all of them, and one of each kind. */
function mediaReaders({ info }: VariantInput): string[] {
  const found = info.inputs.flatMap(({ media }) => media ?? [])
  const image = found.find(({ kind }) => kind === 'image')
  const one = [...(image ? ['readImage'] : []), ...(found.some(({ kind }) => kind === 'sound') ? ['readSound'] : [])]
  return one.length ? [image && 'sizes' in image ? 'readImages' : 'readMedia', ...one] : []
}

/** The expression that reads images, sound or text. */
function mediaOf(variant: VariantInput, textName: (text: string) => string): string | undefined {
  const readers = readersOf(variant)
  const [all, one, sound] = mediaReaders(variant)
  const either = `(...given) => (given[2].kind === 'image' ? ${one} : ${sound})(...given)`
  const other = all && `${all}(${sound ? either : one})`
  if (!readers.includes('readText')) return other
  const { urlExpression, bytes } = variant.tokenizer!
  const load = `() => loadBytes(String(${urlExpression}), ${bytes})`
  return textName(`readText(() => import('@huggingface/tokenizers'), ${load}${other ? `, ${other}` : ''})`)
}

/** What makes sessions with adapters, and the name that the model has for the file of external ones. */
function adaptersOf([first]: readonly EmittedAdapter[]): { name: string; place?: string } {
  const { location } = first!
  return location === undefined ? { name: 'adapters' } : { name: 'externalAdapters', place: literal(location) }
}

/** Whether JavaScript reads or writes float16: in a page the code for it is there on demand. */
function hasHalves({ info: { inputs, adapterInputs = [], outputs } }: VariantInput, runtime: RuntimeName): boolean {
  return runtime === 'web' && [...inputs, ...adapterInputs, ...outputs].some(({ dtype }) => dtype === 'float16')
}

function externalOf({ external }: VariantInput): string {
  const files = external.map(
    (file) => `{ path: ${literal(file.name)}, bytes: ${file.bytes}, url: ${file.urlExpression} }`,
  )
  return `[${files.join(', ')}]`
}

/** Where the definition of a variant is written. */
interface Place {
  runtime: RuntimeName
  /** Name of the constant with its info. */
  info: string
  /** Name of a constant with this reader of texts. */
  textName(text: string): string
}

function definition(variant: VariantInput, { runtime, info, textName }: Place, more: readonly string[] = []): string {
  const { wasm, requires, sessionOptions, external } = variant
  const fields = [
    `target: ${literal(variant.target)}`,
    `device: ${literal(variant.device)}`,
    `info: ${info}`,
    `bytes: ${variant.bytes}`,
    `url: ${variant.urlExpression}`,
    // The specifier stands in the source as a literal: only so do bundlers see it, and only so is the rest left out.
    `ort: () => import(${JSON.stringify(variant.ort ?? ortEntry(variant.device, runtime))})`,
  ]
  if (external.length) fields.push(`external: ${externalOf(variant)}`)
  if (variant.adapters?.length) {
    const { name, place } = adaptersOf(variant.adapters)
    const files = variant.adapters.map(({ name, bytes, urlExpression, tensors }) => {
      const places = place ? '' : `, tensors: ${literal(tensors.map(({ offset, dims }) => [offset, ...dims]))}`
      return `{ name: ${literal(name)}, bytes: ${bytes}, url: ${urlExpression}${places} }`
    })
    fields.push(`adapters: ${name}(${place ?? `${info}.adapterInputs`}, [${files.join(', ')}])`)
  }
  const media = mediaOf(variant, textName)
  if (media) fields.push(`media: ${media}`)
  if (hasHalves(variant, runtime)) fields.push('half')
  if (requires && Object.keys(requires).length) fields.push(`requires: ${literal(requires)}`)
  if (wasm?.mjs || wasm?.wasm) {
    const paths = [wasm.mjs && `mjs: ${wasm.mjs}`, wasm.wasm && `wasm: ${wasm.wasm}`]
    fields.push(`wasm: { ${paths.filter(Boolean).join(', ')} }`)
  }
  if (sessionOptions && Object.keys(sessionOptions).length) fields.push(`sessionOptions: ${literal(sessionOptions)}`)
  fields.push(...more)
  return `{\n${fields.map((field) => `  ${field},\n`).join('')}}`
}
