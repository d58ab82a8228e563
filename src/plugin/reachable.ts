import { OnnxError } from '../onnx/errors.ts'
import { type As, DEVICES, type Device, type Environment, type ResolvedOptions } from '../options/index.ts'

/**
 * Of the targets of an import those that the importing bundle can run: where some are for browsers and some for Node, one import
 * serves both.
 *
 * Node may import what only a browser runs, as pages that are rendered on a server do.
 *
 * @throws OnnxError `TARGET_ENVIRONMENT` where a browser would get what only Node runs
 */
export function reachable(
  targets: readonly ResolvedOptions[],
  as: As,
  environment: Environment | undefined,
): readonly ResolvedOptions[] {
  if (!environment) return targets
  const own = targets.filter(({ device }) => DEVICES[device as Device] === environment.kind)
  if (own.length) return own
  // A URL can be fetched and information read anywhere.
  const [first] = targets
  if (environment.kind === 'server' || as === 'url' || as === 'info' || !first) return targets
  const { target = first.device, device } = first
  throw new OnnxError(
    'TARGET_ENVIRONMENT',
    `the target '${target}' runs on ${device} in Node, and this is for a browser`,
    {
      hint: 'Name a target for browsers (wasm, webgpu, webnn), or several: each bundle takes those that it can run. In Vite each environment can have its own: target: { client, server }.',
    },
  )
}
