import { createUnplugin, type UnpluginInstance } from 'unplugin'
import type { PluginOptions } from '../options/index.ts'
import { createPlugin } from './plugin.ts'

export type { PluginOptions } from '../options/index.ts'

type Instance = UnpluginInstance<PluginOptions | undefined, false>

export const unpluginOnnx: Instance = createUnplugin(createPlugin)
export default unpluginOnnx
