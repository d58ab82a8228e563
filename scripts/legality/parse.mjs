// Reads the lists of kernels that ONNX Runtime and its providers publish. Each reader gives, by `domain:Op` (no domain for
// ai.onnx), the ranges of operator versions and, where the list tells, the element types of the first operand.

/** Names of element types as the lists write them -> as this project does. */
const DTYPE = { float: 'float32', double: 'float64', FP32: 'float32', FP16: 'float16', BF16: 'bfloat16' }
const dtypeOf = (name) => DTYPE[name] ?? name.toLowerCase()

/** @typedef {{ from: number, to?: number, types?: string[] }} Kernel */
/** @typedef {Map<string, Kernel[]>} Kernels */

const qualified = (domain, op) => (domain === '' || domain === 'ai.onnx' ? op : `${domain}:${op}`)

/** `13+`, `13`, `6-12`, `[6, 12]`; undefined for anything else. @returns {Kernel | undefined} */
export function parseVersions(text) {
  const [, from, to, plus] = /^\[?(\d+)(?:\s*[-,]\s*(\d+))?\]?\s*(\+)?$/.exec(text.trim()) ?? []
  if (from === undefined) return undefined
  return plus ? { from: Number(from) } : { from: Number(from), to: Number(to ?? from) }
}

/** The part of OperatorKernels.md about one provider. @returns {Kernels} */
export function parseKernelList(text, provider) {
  const start = text.indexOf(`## Operators implemented by ${provider}`)
  if (start < 0) throw new Error(`the list has no ${provider}`)
  const end = text.indexOf('## Operators implemented by', start + 1)
  /** @type {Kernels} */
  const kernels = new Map()
  let domain = ''
  let op = ''
  let operands = []
  for (const line of text.slice(start, end < 0 ? undefined : end).split('\n')) {
    const [, newDomain] = /\*\*Operator Domain:\*\* \*([\w.]+)\*/.exec(line) ?? []
    if (newDomain !== undefined) {
      domain = newDomain
      continue
    }
    const cells = line.split('|').slice(1, -1)
    const versions = cells.length === 4 ? parseVersions(cells[2]) : undefined
    if (!versions) continue
    if (cells[0]) {
      op = cells[0]
      operands = cells[1]
        .split('<br><br>or<br><br>')
        .map((form) => [...form.matchAll(/\*in\* \w+:\*\*([^*]+)\*\*/g)].map(([, type]) => type))
    }
    const constraints = new Map(
      cells[3].split(/<br\/?>/).map((part) => {
        const [, name, types = ''] = /\*\*(\w+)\*\* = (.*)/.exec(part) ?? []
        return [name, [...types.matchAll(/tensor\((\w+)\)/g)].map(([, type]) => dtypeOf(type))]
      }),
    )
    // The first operand that is no condition decides: `Where` begins with one.
    const first = operands.flat().find((type) => (constraints.get(type) ?? []).some((one) => one !== 'bool'))
    const types = first && [...new Set(constraints.get(first))].sort()
    const key = qualified(domain, op)
    kernels.set(key, [...(kernels.get(key) ?? []), { ...versions, ...(types ? { types } : {}) }])
  }
  return kernels
}

/** Tables of onnxruntime-web: `| Gemm | ai.onnx(7-8,9-10,13+) | ... |`. @returns {Kernels} */
export function parseWebTable(text) {
  /** @type {Kernels} */
  const kernels = new Map()
  for (const [, op, cell] of text.matchAll(/^\|\s*(\w+)\s*\|([^|]*)\|/gm))
    for (const [, domain, list] of cell.matchAll(/([a-z][\w.]*)\(([^)]*)\)/g)) {
      const ranges = list.split(',').map(parseVersions).filter(Boolean)
      if (domain === 'ai.onnx' || domain === 'com.microsoft') kernels.set(qualified(domain, op), ranges)
    }
  return kernels
}

/** Names that differ from the operator's in some lists. */
const SPELLING = { Argmax: 'ArgMax', Prelu: 'PRelu' }

/** Lists of names: `|ai.onnx:Add|...|`. @returns {Kernels} */
export function parseNameTable(text) {
  return new Map(
    [...text.matchAll(/^\|\s*([a-z][a-z.]*)[:.](\w+)\s*\|/gm)].map(([, domain, op]) => [
      qualified(domain, SPELLING[op] ?? op),
      [{ from: 1 }],
    ]),
  )
}

/** The registry of a provider that is written in C++: `CreateSimpleOpBuilder("Add", ...)`. @returns {Kernels} */
export function parseRegistry(text) {
  return new Map(
    [...text.matchAll(/Create\w*OpBuilder\("(\w+)"/g)]
      .flatMap(([, op]) => CONTRIB[op] ?? SPELLING[op] ?? op)
      .map((op) => [op, [{ from: 1 }]]),
  )
}

/** The registry looks at names alone, not at domains. MatMulNBits is for one of its backends, in blocks of 32, and no other. */
const CONTRIB = {
  ...Object.fromEntries(['FusedMatMul', 'Inverse', 'QuickGelu'].map((op) => [op, [`com.microsoft:${op}`]])),
  ...Object.fromEntries(['DequantizeLinear', 'Gelu', 'QuantizeLinear'].map((op) => [op, [op, `com.microsoft:${op}`]])),
  MatMulNBits: [],
}

/** The matrix of TensorRT's parser: `| Abs | Y | FP32, FP16 | ... |`. @returns {Kernels} */
export function parseTensorRt(text) {
  const rows = [...text.matchAll(/^\|\s*(\w+)\s*\|\s*(Y|N)\s*\|([^|\n]*)/gm)].filter(
    ([, , supported]) => supported === 'Y',
  )
  return new Map(
    rows.map(([, op, , cell]) => {
      const types = [...cell.matchAll(/\b(?:FP32|FP16|BF16|FP8|U?INT\d+|BOOL|DOUBLE)\b/g)]
        .map(([type]) => dtypeOf(type))
        .sort()
      return [op, [{ from: 1, ...(types.length ? { types } : {}) }]]
    }),
  )
}
