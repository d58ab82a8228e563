import { createUnplugin, type UnpluginInstance } from 'unplugin'

/** Options of the plugin. */
export type PluginOptions = Record<string, unknown>

type Instance = UnpluginInstance<PluginOptions | undefined, false>

/** The factory for one bundler: takes the plugin's options, returns what the bundler's `plugins` takes. */
export type PluginFor<Bundler extends keyof Instance> = Instance[Bundler]

export const unpluginOnnx: Instance = createUnplugin(() => ({ name: 'unplugin-onnx' }))
