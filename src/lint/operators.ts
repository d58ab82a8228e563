import { readFileSync } from 'node:fs'
import { corrected, covers, type KernelList, kernelList, kernelTypes, readKernel } from '../rules/legality/kernels.ts'
import { installedKernels } from './web-runtime.ts'

/** Which operators a device has kernels for, by the version of the operator set. */
export interface OperatorTable {
  /** @param dtype element type of the first operand; undefined: any */
  has(domain: string, op: string, opset: number, dtype?: string): boolean
  /** Element types that the first operand may have in an opset; undefined where that is not told. */
  types(domain: string, op: string, opset: number): readonly string[] | undefined
  /** Where it comes from, e.g. `onnxruntime-web 1.30.0`. */
  source: string
}

/**
 * The kernels of a device. For browsers they are those of the installed `onnxruntime-web`, which will execute the model; where
 * that is not installed, and for all other devices, those of the lists that this package was made with.
 *
 * @param from a folder of the project
 * @returns undefined where there is no such device
 */
export function operatorTable(device: string, from: string): OperatorTable | undefined {
  const list = installedList(device, from) ?? kernelList(device)
  return list && tableOf(list)
}

function installedList(device: string, from: string): KernelList | undefined {
  const installed = installedKernels(device, from)
  if (!installed) return undefined
  const text = readFileSync(installed.file, 'utf8')
  return corrected(parseList(text, device, `onnxruntime-web ${installed.version}`))
}

/** Reads lines like `| Gemm | ai.onnx(7-8,9-10,13+) | ... |`. */
function parseList(text: string, device: string, source: string): KernelList {
  const kernels = new Map<string, ReturnType<typeof readKernel>[]>()
  for (const [, op, versions] of text.matchAll(/^\|\s*(\w+)\s*\|([^|]*)\|/gm))
    for (const [, domain, list] of versions!.matchAll(/([a-z][\w.]*)\(([^)]*)\)/g)) {
      const key = domain === 'ai.onnx' ? op! : `${domain}:${op}`
      kernels.set(key, [...(kernels.get(key) ?? []), ...list!.split(',').map(readKernel)])
    }
  return { device, source, kernels }
}

/** A table out of the text of one of `onnxruntime-web`. */
export function parseOperatorTable(text: string, source: string, device = 'webnn'): OperatorTable {
  return tableOf(parseList(text, device, source))
}

function tableOf(list: KernelList): OperatorTable {
  const qualified = (domain: string, op: string) => (domain ? `${domain}:${op}` : op)
  return {
    source: list.source,
    has: (domain, op, opset, dtype) => covers(list, qualified(domain, op), domain ? 1 : opset, dtype),
    types: (domain, op, opset) => kernelTypes(list, qualified(domain, op), domain ? 1 : opset),
  }
}
