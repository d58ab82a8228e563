import { OnnxError } from '../onnx/errors.ts'
import { nearest } from '../params/nearest.ts'
import { orList } from '../params/value.ts'
import { DEVICES, type Device } from './general.ts'
import type { Environment, EnvironmentKind, PluginOptions, TargetOptions } from './types.ts'

/** Targets that are always there: `node`, `web`, and one per device under the device's name. */
export const BUILT_IN_TARGETS: Readonly<Record<string, TargetOptions>> = {
  node: { device: 'cpu' },
  web: { device: 'wasm' },
  ...Object.fromEntries(Object.keys(DEVICES).map((device) => [device, { device: device as Device }])),
}

/** Whether a device is reached from a browser or from Node; targets without a device run on the CPU of Node. */
export function kindOf(target: TargetOptions): EnvironmentKind {
  return DEVICES[target.device ?? 'cpu']
}

/** The options of a target by name. The user's own come before the built-in ones. */
export function findTarget(name: string, targets: PluginOptions['targets'] = {}, where = ''): TargetOptions {
  if (Object.hasOwn(targets, name)) return targets[name]!
  if (Object.hasOwn(BUILT_IN_TARGETS, name)) return BUILT_IN_TARGETS[name]!
  const names = [...new Set([...Object.keys(targets), ...Object.keys(BUILT_IN_TARGETS)])]
  const near = nearest(name, names)
  throw new OnnxError('TARGET_UNKNOWN', `there is no target '${name}'${where && ` (in ${where})`}`, {
    hint: `${near ? `Did you mean '${near}'? ` : ''}Targets are ${orList(names)}.`,
  })
}

/** Names of targets that `target` of the plugin's options gives for an environment; none if it does not say. */
export function namedTargets(target: PluginOptions['target'], environment?: Environment): string[] {
  if (target === undefined) return []
  if (typeof target === 'string' || Array.isArray(target)) return [target].flat().filter(Boolean)
  const choices = target as Readonly<Record<string, string | readonly string[]>>
  return [choices[environment?.mode ?? ''] ?? choices[environment?.kind ?? ''] ?? []].flat()
}

/** The user's first target that runs on this device, else the built-in one. */
export function targetOfDevice(device: string, targets: PluginOptions['targets'] = {}): string {
  return Object.keys(targets).find((name) => targets[name]!.device === device) ?? device
}

/**
 * Names of the targets to build for where the request itself names none: the plugin's `target`, else `ONNX_TARGET`, else
 * the target of the plugin's `device`, else the first of the user's targets that runs in this environment, else the
 * built-in one (`web` where the environment is not known).
 */
export function defaultTargets(
  plugin: Pick<PluginOptions, 'target' | 'targets' | 'device'>,
  environment: Environment | undefined,
  variable: string | undefined,
): string[] {
  const named = namedTargets(plugin.target, environment)
  if (named.length > 0) return named
  const fromVariable = (variable ?? '').split(',').map((name) => name.trim())
  const { device, targets = {} } = plugin
  for (const name of fromVariable) if (name) findTarget(name, targets, 'ONNX_TARGET')
  if (fromVariable.some(Boolean)) return fromVariable.filter(Boolean)
  if (device) return [targetOfDevice(device, targets)]
  const own = Object.keys(targets).find((name) => !environment || kindOf(targets[name]!) === environment.kind)
  return [own ?? (environment?.kind === 'server' ? 'node' : 'web')]
}
