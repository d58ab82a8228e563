import type { Environment, EnvironmentKind } from '../options/index.ts'
import type { Hook } from './emit/emitter.ts'

/** Bundlers as unplugin names them. */
export type Framework = 'vite' | 'rollup' | 'rolldown' | 'webpack' | 'rspack' | 'esbuild' | 'farm'

/** True for bundlers whose plugins may ask for the resolution of a module with all that the project has said about it. */
export function isRollupFamily(framework: Framework): framework is 'vite' | 'rollup' | 'rolldown' {
  return framework === 'vite' || framework === 'rollup' || framework === 'rolldown'
}

/** What a hook of Vite knows about the environment that it runs for. */
export interface ViteEnvironment {
  name: string
  mode: 'dev' | 'build' | 'unknown'
  config: { consumer: EnvironmentKind; root: string; mode: string; base: string; build: { assetsDir: string } }
}

/** Vite's environment of a hook's `this`; undefined in other bundlers. */
export function viteEnvironment(hook: Hook): ViteEnvironment | undefined {
  return (hook as { environment?: ViteEnvironment }).environment
}

/** What the output runs on, from what the bundler was told to build for. */
export function environmentOf(hook: Hook, fallback: Environment | undefined): Environment | undefined {
  const vite = viteEnvironment(hook)
  return vite ? { kind: vite.config.consumer, mode: vite.config.mode } : fallback
}
