import { existsSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { OnnxError } from '../../onnx/errors.ts'
import type { ParamOutput } from '../../params/spec.ts'
import type { Pass } from '../pass.ts'

const params = {
  adapters: {
    type: 'enum',
    doc: 'What becomes of LoRA, DoRA and LoHa weights in the model: `inputs` makes inputs of them, `external` moves them into a data file that is chosen when a session is made, `none` leaves them. Default `none`, or `inputs` where adapter_files or adapter_name is given',
    values: ['none', 'inputs', 'external'],
  },
  adapterFormat: {
    type: 'enum',
    doc: 'With adapters: kind of the adapter files that are written',
    values: ['onnx_adapter', 'safetensors', 'npz'],
    default: 'onnx_adapter',
  },
  adapterName: {
    type: 'string',
    doc: 'With adapters: name of the adapter that is in the model; the name that PEFT gave it unless said',
    placeholder: 'name',
  },
  adapterFiles: {
    type: 'map',
    doc: 'With adapters: further adapters by name, as files beside the model: .onnx_adapter, .safetensors or .npz, or folders that PEFT saved',
    placeholder: 'name:file',
  },
  pack: {
    type: 'boolean',
    doc: 'With adapters=inputs: weights of one kind and size are one input, which a Split in the graph takes apart: fewer inputs to feed',
  },
} as const

export type AdapterOptions = ParamOutput<typeof params>

/** Makes one base model out of a model with LoRA, DoRA or LoHa layers, whose weights become inputs, and adapter files to feed it. */
export const adapters: Pass<typeof params> = {
  name: 'adapters',
  version: 10,
  doc: 'Takes LoRA, DoRA and LoHa weights out of the model, so that one base serves many adapters: `session.withAdapter(name)`',
  params,
  enabled: ({ adapters, adapterFiles, adapterName }) =>
    adapters === undefined ? adapterFiles !== undefined || adapterName !== undefined : adapters !== 'none',
  check({ adapters, pack }) {
    if (adapters === 'external' && pack)
      throw new OnnxError('OPTION_CONFLICT', 'pack joins inputs, and adapters=external makes none', {
        hint: 'Leave pack out, or take adapters=inputs.',
      })
  },
  lossless: true,
  dependencies: ({ adapterFiles }, model) =>
    Object.entries(adapterFiles ?? {}).flatMap(([name, given]) => {
      const file = locate(given, model)
      const folder = peftFolder(file)
      if (folder !== undefined)
        return [join(folder, PEFT_CONFIG), join(folder, PEFT_WEIGHTS)].filter((path) => existsSync(path))
      if (existsSync(file)) return [file]
      throw new OnnxError('ADAPTER_UNREADABLE', `there is no file of the adapter "${name}"`, {
        place: { file },
        hint: 'Paths of adapter_files are relative to the folder of the model.',
      })
    }),
  run: async (model, options, context) => (await import('./run.ts')).run(model, options, context),
}

/** The absolute path of an adapter file: paths are relative to the model's folder. */
export function locate(path: string, model: string): string {
  return resolve(dirname(model), path)
}

/** The files of a folder that PEFT saved. */
export const PEFT_CONFIG = 'adapter_config.json'
export const PEFT_WEIGHTS = 'adapter_model.safetensors'

/** The folder that PEFT saved an adapter to, where a path is one or names the weights in it. */
export function peftFolder(path: string): string | undefined {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return path
  const folder = dirname(path)
  return basename(path) === PEFT_WEIGHTS && existsSync(join(folder, PEFT_CONFIG)) ? folder : undefined
}
