import { existsSync } from 'node:fs'
import { copyFile, mkdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { DTYPES_BY_NAME } from '../options/index.ts'
import type { ResolvedOptions } from './types.ts'

/** Files beside a model that say how to use it: configuration, tokenizer, preprocessing. */
const COMPANIONS = [
  'added_tokens.json',
  'chat_template.jinja',
  'config.json',
  'generation_config.json',
  'merges.txt',
  'preprocessor_config.json',
  'processor_config.json',
  'sentencepiece.bpe.model',
  'special_tokens_map.json',
  'spiece.model',
  'tokenizer.json',
  'tokenizer.model',
  'tokenizer_config.json',
  'vocab.json',
  'vocab.txt',
]

/** Where a model of a repository in Hugging Face's layout lies: `model.onnx` -> `onnx/model_q4f16.onnx`. */
export function huggingFacePath(name: string, { params }: ResolvedOptions): string {
  const dtype = params['dtype'] as string | undefined
  const suffix = dtype === undefined ? '' : DTYPES_BY_NAME[dtype]!.suffix
  return join('onnx', name.replace(/(\.onnx)?$/i, `${suffix}.onnx`))
}

/**
 * Copies the configuration and tokenizer of a model into the root of a repository, as far as they lie beside the model or,
 * where that is in a folder `onnx`, above it. What the repository has already stays.
 */
export async function copyCompanions(model: string, repository: string): Promise<void> {
  const folder = dirname(model)
  const from = basename(folder) === 'onnx' ? [folder, dirname(folder)] : [folder]
  for (const name of COMPANIONS) {
    const target = join(repository, name)
    const source = from.map((each) => join(each, name)).find((path) => existsSync(path))
    if (source === undefined || existsSync(target)) continue
    await mkdir(repository, { recursive: true })
    await copyFile(source, target)
  }
}
