import type { JsPlugin } from '@farmfe/core'
import type { PluginOptions } from '../src/options/index.ts'
import { unpluginOnnx } from '../src/plugin/index.ts'

const onnx: (options?: PluginOptions) => JsPlugin = unpluginOnnx.farm

export { onnx as default, onnx as 'module.exports' }
