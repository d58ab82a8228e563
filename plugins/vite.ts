import type { Plugin } from 'vite'
import type { PluginOptions } from '../src/options/index.ts'
import { unpluginOnnx } from '../src/plugin/index.ts'

const onnx: (options?: PluginOptions) => Plugin = unpluginOnnx.vite

export { onnx as default, onnx as 'module.exports' }
