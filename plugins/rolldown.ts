import type { Plugin } from 'rolldown'
import type { PluginOptions } from '../src/options/index.ts'
import { unpluginOnnx } from '../src/plugin/index.ts'

const onnx: (options?: PluginOptions) => Plugin = unpluginOnnx.rolldown

export { onnx as default, onnx as 'module.exports' }
