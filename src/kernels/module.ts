import { readFileSync } from 'node:fs'

/** The part of the global of this name that is used here; it is typed in TypeScript's DOM library only. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object
  Instance: new (module: object) => { readonly exports: object }
}

type Transpose = (x: number, rows: number, columns: number, stride: number, out: number, outStride: number) => void

/** What `assembly/index.ts` exports: addresses and counts are numbers, see there for what each does. */
export interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number }
  heapBase(): number
  minMaxRun(x: number, n: number, result: number): void
  minMaxRows(x: number, rows: number, columns: number, results: number): void
  minMaxColumns(x: number, rows: number, columns: number, mins: number, maxs: number): void
  anyNonFinite(x: number, n: number): number
  countNonFinite(x: number, n: number, result: number): void
  pairAbsMaxRows(x: number, pairs: number, columns: number, out: number): void
  pairAbsMaxRun(x: number, n: number, high: number): number
  scaleRows(x: number, rows: number, columns: number, factors: number): void
  squaresRows(x: number, rows: number, columns: number, sums: number): void
  quantizeRun8(x: number, n: number, out: number, scale: number, zeroPoint: number, low: number, high: number): void
  quantizeRun16(x: number, n: number, out: number, scale: number, zeroPoint: number, low: number, high: number): void
  quantizeColumns(
    x: number,
    rows: number,
    columns: number,
    out: number,
    scales: number,
    zeroPoints: number,
    low: number,
    high: number,
    width: number,
  ): void
  packNibbles(x: number, n: number, out: number): void
  f32ToF16(x: number, n: number, out: number): void
  f32ToF16Plain(x: number, n: number, out: number, result: number): void
  f16ToF32(x: number, n: number, out: number): void
  f32ToBf16(x: number, n: number, out: number): void
  bf16ToF32(x: number, n: number, out: number): void
  f64ToF32(x: number, n: number, out: number): void
  limitToF16(x: number, n: number, largest: number, smallest: number, result: number): void
  transpose32: Transpose
  transpose16: Transpose
  transpose8: Transpose
  packPairs(x: number, n: number, out: number): void
  quantizeBlocks(work: number): number
  compensate(rows: number): void
  factorRows(x: number, rows: number, length: number, first: number): number
  compare(x: number, y: number, n: number, result: number): void
  histogram(
    x: number,
    n: number,
    magnitude: number,
    low: number,
    high: number,
    perUnit: number,
    bins: number,
    counts: number,
  ): void
}

let instance: Exports | undefined

/** The kernels of this thread; the first call compiles and instantiates them (a few milliseconds). */
export function wasm(): Exports {
  if (instance === undefined) {
    const module = new WebAssembly.Module(readFileSync(new URL('./kernels.wasm', import.meta.url)))
    instance = new WebAssembly.Instance(module).exports as Exports
  }
  return instance
}
