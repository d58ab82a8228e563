import type { PluginFor } from '../src/plugin/index.ts'
import { unpluginOnnx } from '../src/plugin/index.ts'

const onnx: PluginFor<'rolldown'> = unpluginOnnx.rolldown

export { onnx as default, onnx as 'module.exports' }
