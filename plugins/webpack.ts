import type { WebpackPluginInstance } from 'webpack'
import type { PluginOptions } from '../src/options/index.ts'
import { unpluginOnnx } from '../src/plugin/index.ts'

const onnx: (options?: PluginOptions) => WebpackPluginInstance = unpluginOnnx.webpack

export { onnx as default, onnx as 'module.exports' }
