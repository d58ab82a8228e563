import type { Framework } from '../environment.ts'
import type { Models } from '../models.ts'
import type { Bundler } from './bundler.ts'
import { esbuild } from './esbuild.ts'
import { farm } from './farm.ts'
import { rolldown, rollup } from './rollup.ts'
import { vite } from './vite.ts'
import { webpack } from './webpack.ts'

export type { Bundler } from './bundler.ts'

/** The part of the plugin that knows one bundler. */
export function bundlerOf(framework: Framework, models: Models, finish: () => Promise<void>): Bundler {
  switch (framework) {
    case 'vite':
      return vite(models, finish)
    case 'rollup':
      return rollup(finish)
    case 'rolldown':
      return rolldown(finish)
    case 'webpack':
    case 'rspack':
      return webpack(models, framework)
    case 'esbuild':
      return esbuild(models)
    case 'farm':
      return farm(models)
  }
}
