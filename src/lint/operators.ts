import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { LAST, UNLISTED } from './webgpu.ts'

/** Which operators a device has kernels for, by the version of the operator set. */
export interface OperatorTable {
  has(domain: string, op: string, opset: number): boolean
  /** Where it comes from, e.g. `onnxruntime-web 1.30.0`. */
  source: string
}

/** Tables that `onnxruntime-web` ships, by device. */
const FILES: Readonly<Record<string, string>> = {
  webgpu: 'webgpu-operators.md',
  webnn: 'webnn-operators.md',
}

/**
 * The table that the installed `onnxruntime-web` has for a device, so that it is that of the runtime which will execute the model.
 *
 * @param from a folder of the project
 * @returns undefined where the package is not installed or has no table for the device
 */
export function operatorTable(device: string, from: string): OperatorTable | undefined {
  const name = FILES[device]
  if (!name) return undefined
  for (const base of [join(from, 'package.json'), import.meta.url]) {
    try {
      let folder = dirname(createRequire(base).resolve('onnxruntime-web'))
      for (; folder !== dirname(folder); folder = dirname(folder)) {
        const text = readIfThere(join(folder, 'docs', name))
        if (text === undefined) continue
        const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string }
        const table = parseOperatorTable(text, `onnxruntime-web ${version}`)
        return device === 'webgpu' ? corrected(table) : table
      }
    } catch {
      // Not installed here: look from the next place.
    }
  }
  return undefined
}

/** Reads lines like `| Gemm | ai.onnx(7-8,9-10,13+) | ... |`. A domain without versions has all. */
export function parseOperatorTable(text: string, source: string): OperatorTable {
  const ranges = new Map<string, [from: number, to: number][]>()
  for (const [, op, versions] of text.matchAll(/^\|\s*(\w+)\s*\|([^|]*)\|/gm))
    for (const [, domain, list] of versions!.matchAll(/([a-z][\w.]*)\(([^)]*)\)/g)) {
      const key = `${domain === 'ai.onnx' ? '' : domain}:${op}`
      const spans = list!.split(',').map((span): [number, number] => {
        const [, from, to] = /(\d+)(?:-(\d+)|\+)?/.exec(span) ?? []
        return [Number(from), span.includes('+') ? Number.POSITIVE_INFINITY : Number(to ?? from)]
      })
      ranges.set(key, [...(ranges.get(key) ?? []), ...spans])
    }
  return {
    source,
    has: (domain, op, opset) =>
      (ranges.get(`${domain}:${op}`) ?? []).some(([from, to]) => opset >= from && (opset <= to || domain !== '')),
  }
}

/** The table with what is known to be otherwise. */
function corrected(table: OperatorTable): OperatorTable {
  return {
    ...table,
    has(domain, op, opset) {
      if (domain !== '') return table.has(domain, op, opset)
      const own = Object.hasOwn(UNLISTED, op) ? UNLISTED[op] : undefined
      if (own) return opset >= own[0] && opset <= own[1]
      return table.has(domain, op, opset) && !(Object.hasOwn(LAST, op) && opset > LAST[op]!)
    },
  }
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
