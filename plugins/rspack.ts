import type { RspackPluginInstance } from '@rspack/core'
import type { PluginOptions } from '../src/options/index.ts'
import { unpluginOnnx } from '../src/plugin/index.ts'

const onnx: (options?: PluginOptions) => RspackPluginInstance = unpluginOnnx.rspack

export { onnx as default, onnx as 'module.exports' }
