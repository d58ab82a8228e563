import { decodeTrtTable, encodeTrtTable } from './flatbuffers.ts'

/** Ranges by tensor. */
export type Ranges = Readonly<Record<string, readonly [min: number, max: number]>>

/**
 * The files in which tools for TensorRT keep what calibration found: lines of a name and a magnitude (`cache`), the same in
 * FlatBuffers (`flatbuffers`), and ranges in the JSON of ONNX Runtime's Python tools (`json`).
 */
export type TableFormat = 'cache' | 'flatbuffers' | 'json'

/** The magnitude that a symmetric scale must hold. */
function magnitudeOf([min, max]: readonly [number, number]): number {
  return Math.max(Math.abs(min), Math.abs(max))
}

/** Writes ranges, sorted by name. */
export function encodeTable(format: TableFormat, ranges: Ranges): Uint8Array {
  const sorted = Object.entries(ranges).sort(([a], [b]) => (a < b ? -1 : 1))
  const magnitudes = sorted.map(([name, range]) => [name, String(magnitudeOf(range))] as const)
  if (format === 'flatbuffers') return encodeTrtTable(magnitudes)
  if (format === 'cache') return new TextEncoder().encode(magnitudes.map((pair) => `${pair.join(' ')}\n`).join(''))
  const scalar = (data: number): object => ({ CLS: 'numpy.array', data, dtype: 'float32' })
  const entries = sorted.map(([name, [lowest, highest]]) => [
    name,
    { CLS: 'TensorData', lowest: scalar(lowest), highest: scalar(highest) },
  ])
  return new TextEncoder().encode(`${JSON.stringify(Object.fromEntries(entries))}\n`)
}

/**
 * Reads a table of magnitudes as symmetric ranges.
 * @throws Error in words if it is no such table
 */
export function decodeTable(format: 'cache' | 'flatbuffers', bytes: Uint8Array): Record<string, [number, number]> {
  const pairs = format === 'flatbuffers' ? decodeTrtTable(bytes) : linesOf(bytes)
  return Object.fromEntries(
    pairs.map(([name, text]) => {
      const magnitude = Number(text)
      if (!text.trim() || !Number.isFinite(magnitude) || magnitude < 0)
        throw new Error(`"${name}" has the magnitude "${text}", which is no number from 0 up`)
      return [name, [-magnitude, magnitude]]
    }),
  )
}

/** Names may hold blanks: the last one is the separator. */
function linesOf(bytes: Uint8Array): [string, string][] {
  return new TextDecoder()
    .decode(bytes)
    .split('\n')
    .map((line) => line.trimEnd())
    .filter(Boolean)
    .map((line, i) => {
      const at = line.lastIndexOf(' ')
      if (at < 1) throw new Error(`line ${i + 1} is no name with a magnitude`)
      return [line.slice(0, at), line.slice(at + 1)]
    })
}
