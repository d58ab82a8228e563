import type { Plugin, PluginOption, UserConfig } from 'vite'
import type { PluginOptions } from '../../options/index.ts'

type WorkerPlugins = () => PluginOption[]

/**
 * The plugins of web workers, which Vite bundles apart, with this one among them. Projects that give it to workers themselves keep theirs.
 */
export function workerPlugins(config: UserConfig, options: PluginOptions): WorkerPlugins {
  const given = config.worker?.plugins as WorkerPlugins | PluginOption[] | undefined
  return () => {
    const own = (typeof given === 'function' ? given() : given) ?? []
    return [own, ifMissing(own, options)]
  }
}

async function ifMissing(given: PluginOption, options: PluginOptions): Promise<Plugin | undefined> {
  let plugins = [given].flat(9)
  while (plugins.some((plugin) => plugin instanceof Promise)) plugins = (await Promise.all(plugins)).flat(9)
  if (plugins.some((plugin) => plugin && 'name' in plugin && plugin.name === 'unplugin-onnx')) return undefined
  // Not above: this module is part of the plugin.
  const { unpluginOnnx } = await import('../index.ts')
  return unpluginOnnx.vite(options)
}
