import type { PluginFor } from '../src/plugin/index.ts'
import { unpluginOnnx } from '../src/plugin/index.ts'

const onnx: PluginFor<'rspack'> = unpluginOnnx.rspack

export { onnx as default, onnx as 'module.exports' }
