import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { corrected, covers, type KernelList, kernelList, kernelTypes, readKernel } from '../rules/legality/kernels.ts'

/** Which operators a device has kernels for, by the version of the operator set. */
export interface OperatorTable {
  /** @param dtype element type of the first operand; undefined: any */
  has(domain: string, op: string, opset: number, dtype?: string): boolean
  /** Element types that the first operand may have in an opset; undefined where that is not told. */
  types(domain: string, op: string, opset: number): readonly string[] | undefined
  /** Where it comes from, e.g. `onnxruntime-web 1.30.0`. */
  source: string
}

/** Tables that `onnxruntime-web` ships, by device. */
const FILES: Readonly<Record<string, string>> = {
  webgpu: 'webgpu-operators.md',
  webnn: 'webnn-operators.md',
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
  const name = FILES[device]
  if (!name) return undefined
  for (const base of [join(from, 'package.json'), import.meta.url]) {
    try {
      let folder = dirname(createRequire(base).resolve('onnxruntime-web'))
      for (; folder !== dirname(folder); folder = dirname(folder)) {
        const text = readIfThere(join(folder, 'docs', name))
        if (text === undefined) continue
        const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string }
        return corrected(parseList(text, device, `onnxruntime-web ${version}`))
      }
    } catch {
      // Not installed here: look from the next place.
    }
  }
  return undefined
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

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
