import { elementsIn } from '../graph/tensor.ts'
import type { Value } from '../graph/value.ts'
import { DTYPES } from '../onnx/dtypes.ts'

/** Bytes of one element; undefined where the type is not known or has no fixed size. */
export function elementBytes({ dtype }: Value): number | undefined {
  const bits = dtype && DTYPES[dtype].bits
  return bits ? bits / 8 : undefined
}

/** Bytes of a value, where its shape is known. */
export function bytesOf(value: Value): number | undefined {
  const { shape } = value
  const size = elementBytes(value)
  if (!size || !shape?.every((dim) => typeof dim === 'number')) return undefined
  return elementsIn(shape) * size
}

/** `1.25 MB` */
export function megabytes(bytes: number): string {
  return `${Number((bytes / 1e6).toPrecision(3))} MB`
}
