import { createUnplugin, type UnpluginInstance } from 'unplugin'
import type { PluginOptions } from '../options/index.ts'
import { createPlugin } from './plugin.ts'

export type { PluginOptions } from '../options/index.ts'

type Instance = UnpluginInstance<PluginOptions | undefined, false>

/** The factory for one bundler: takes the plugin's options, returns what the bundler's `plugins` takes. */
export type PluginFor<Bundler extends keyof Instance> = Instance[Bundler]

export const unpluginOnnx: Instance = createUnplugin(createPlugin)
export default unpluginOnnx
