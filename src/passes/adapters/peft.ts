import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { convertFloats } from '../../graph/float-data.ts'
import { Tensor } from '../../graph/tensor.ts'
import { permute } from '../../kernels/index.ts'
import { type AdapterTensor, readAdapter } from '../../onnx/adapters/index.ts'
import { isFloat } from '../../onnx/dtypes.ts'
import { OnnxError } from '../../onnx/errors.ts'
import { PEFT_CONFIG, PEFT_WEIGHTS } from './index.ts'

/** The part of `adapter_config.json` that decides what the weights mean. */
interface PeftConfig {
  peft_type?: string
  lora_alpha?: number
  /** The same for LoHa. */
  alpha?: number
  alpha_pattern?: Record<string, number>
  use_rslora?: boolean
  use_dora?: boolean
}

/**
 * Reads a LoRA, DoRA or LoHa adapter that PEFT saved, in the form that models with adapter inputs take: names without
 * `base_model.model.`, weights transposed (`lora_A` to `[inner, rank]`, `lora_B` to `[rank, outer]`), `lora_B` times
 * alpha / rank, or alpha / sqrt(rank) where it is rank-stabilised. Magnitude vectors of DoRA stay as they are: what they do
 * depends on the base's weights.
 *
 * @param folder holds `adapter_config.json` and `adapter_model.safetensors`
 * @throws OnnxError `ADAPTER_UNREADABLE`, `ADAPTER_INVALID`, or `ADAPTER_UNSUPPORTED` for anything but LoRA, DoRA and LoHa of linear layers
 */
export function readPeftFolder(folder: string, dtype: 'float32' | 'float16'): AdapterTensor[] {
  const config = readConfig(join(folder, PEFT_CONFIG))
  const file = join(folder, PEFT_WEIGHTS)
  const unsupported = (what: string) =>
    new OnnxError('ADAPTER_UNSUPPORTED', what, {
      place: { file: folder },
      hint: 'LoRA, DoRA and LoHa of linear layers can be converted. Merge other adapters into the model before its export.',
    })
  const type = (config.peft_type ?? 'LORA').toUpperCase()
  if (type !== 'LORA' && type !== 'LOHA') throw unsupported(`the adapter is a ${type} adapter`)
  if (!existsSync(file) && existsSync(join(folder, 'adapter_model.bin')))
    throw new OnnxError('ADAPTER_UNREADABLE', 'adapter_model.bin is a Python pickle, which is not read', {
      place: { file: folder },
      hint: 'Save it again with safe_serialization=True.',
    })
  const tensors = readAdapter(file)
  if (type === 'LOHA') return convertHada(tensors, config, { file, dtype, unsupported })
  const ranks = new Map<string, number>()
  const magnitudes: AdapterTensor[] = []
  const parsed = tensors.flatMap((tensor) => {
    const [, decomposed] =
      /^(?:base_model\.model\.)?(.+)\.lora_magnitude_vector(?:\.\w+)??(?:\.weight)?$/.exec(tensor.name) ?? []
    if (config.use_dora && decomposed !== undefined && tensor.dims.length === 1 && isFloat(tensor.dtype)) {
      const vector = convertFloats(Tensor.of(tensor.dtype, tensor.dims, tensor.data), dtype)
      const name = `${decomposed}.lora_magnitude_vector`
      magnitudes.push({ name, dtype, dims: vector.dims, data: vector.bytes() })
      return []
    }
    const [, layer, kind] = /^(?:base_model\.model\.)?(.+)\.lora_([AB])(?:\.\w+)?\.weight$/.exec(tensor.name) ?? []
    if (layer === undefined || tensor.dims.length !== 2 || !isFloat(tensor.dtype))
      throw unsupported(`the weight "${tensor.name}" (${tensor.dtype} [${tensor.dims}]) is no LoRA matrix`)
    if (kind === 'A') ranks.set(layer, tensor.dims[0]!)
    return [{ tensor, layer, kind }]
  })
  if (!parsed.length) throw new OnnxError('ADAPTER_INVALID', 'the adapter has no weights', { place: { file } })
  for (const layer of config.use_dora ? ranks.keys() : []) {
    const outer = parsed.find((one) => one.layer === layer && one.kind === 'B')?.tensor.dims[0]
    const vector = magnitudes.find(({ name }) => name === `${layer}.lora_magnitude_vector`)
    if (vector?.dims[0] !== outer)
      throw new OnnxError('ADAPTER_INVALID', `"${layer}" has no magnitude vector, or one of another length`, {
        place: { file },
      })
  }
  const matrices = parsed.map(({ tensor: { dims, data, ...tensor }, layer, kind }) => {
    const [rows, columns] = dims as [number, number]
    const rank = kind === 'A' ? rows : columns
    if (ranks.get(layer) !== rank || parsed.filter((one) => one.layer === layer).length !== 2)
      throw new OnnxError('ADAPTER_INVALID', `the two weights of "${layer}" do not go together`, { place: { file } })
    const alpha = alphaOf(config, layer)
    const scale = kind === 'A' ? 1 : alpha === undefined ? 1 : alpha / (config.use_rslora ? Math.sqrt(rank) : rank)
    const float = convertFloats(Tensor.of(tensor.dtype, dims, data), 'float32')
    const turned = Tensor.of('float32', [columns, rows], permute(float.bytes(), dims, [1, 0], 4))
    const scaled = Tensor.float32(
      turned.dims,
      turned.float32().map((value) => value * scale),
    )
    const result = convertFloats(scaled, dtype)
    return { name: `${layer}.lora_${kind}.weight`, dtype, dims: result.dims, data: result.bytes() }
  })
  return [...matrices, ...magnitudes]
}

/** LoHa: the factors as they are, `hada_w1_a` times alpha / rank. */
function convertHada(
  tensors: readonly AdapterTensor[],
  config: PeftConfig,
  { file, dtype, unsupported }: { file: string; dtype: 'float32' | 'float16'; unsupported(what: string): OnnxError },
): AdapterTensor[] {
  const layers = new Map<string, Set<number>>()
  const counts = new Map<string, number>()
  const converted = tensors.map(({ name, dtype: given, dims, data }) => {
    const [, layer, kind] = /^(?:base_model\.model\.)?(.+)\.(hada_w[12]_[ab])(?:\.\w+)?$/.exec(name) ?? []
    if (layer === undefined || kind === undefined || dims.length !== 2 || !isFloat(given))
      throw unsupported(`the weight "${name}" (${given} [${dims}]) is no LoHa matrix`)
    const rank = dims[kind.endsWith('a') ? 1 : 0]!
    layers.set(layer, (layers.get(layer) ?? new Set()).add(rank))
    counts.set(layer, (counts.get(layer) ?? 0) + 1)
    const alpha = kind === 'hada_w1_a' ? alphaOf({ ...config, lora_alpha: config.alpha ?? rank }, layer)! : rank
    const float = convertFloats(Tensor.of(given, dims, data), 'float32')
    const scaled = Tensor.float32(
      dims,
      float.float32().map((value) => (value * alpha) / rank),
    )
    const result = convertFloats(scaled, dtype)
    return { name: `${layer}.${kind}`, dtype, dims: result.dims, data: result.bytes() }
  })
  if (!converted.length) throw new OnnxError('ADAPTER_INVALID', 'the adapter has no weights', { place: { file } })
  for (const [layer, ranks] of layers)
    if (ranks.size !== 1 || counts.get(layer) !== 4)
      throw new OnnxError('ADAPTER_INVALID', `the four weights of "${layer}" do not go together`, { place: { file } })
  return converted
}

function readConfig(file: string): PeftConfig {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as PeftConfig
  } catch (cause) {
    throw new OnnxError(
      'ADAPTER_UNREADABLE',
      `the adapter's configuration can't be read: ${(cause as Error).message}`,
      {
        place: { file },
        hint: 'Give the folder that save_pretrained() of PEFT wrote.',
        cause,
      },
    )
  }
}

/** The alpha of a layer. PEFT's patterns are regular expressions for the end of its path. */
function alphaOf({ lora_alpha, alpha_pattern = {} }: PeftConfig, layer: string): number | undefined {
  const key = Object.keys(alpha_pattern).find((pattern) => {
    try {
      return new RegExp(`^(?:.*\\.)?(?:${pattern})$`).test(layer)
    } catch {
      return false
    }
  })
  return key === undefined ? lora_alpha : alpha_pattern[key]
}
