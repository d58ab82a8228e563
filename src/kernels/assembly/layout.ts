// Moving values about: transposing, padding and packing.

/**
 * Transposes `rows` x `columns` float32 at `x` (`stride` floats from row to row) to `columns` rows at `out`, `outStride`
 * floats apart.
 */
export function transpose32(x: usize, rows: i32, columns: i32, stride: i32, out: usize, outStride: i32): void {
  const step = <usize>stride << 2, outStep = <usize>outStride << 2
  let c: usize = 0
  for (; c + 4 <= <usize>columns; c += 4) {
    let p = x + (c << 2), o = out + c * outStep
    let r = 0
    for (; r + 4 <= rows; r += 4) {
      const a = v128.load(p), b = v128.load(p + step), d = v128.load(p + step * 2), e = v128.load(p + step * 3)
      const ab0 = i8x16.shuffle(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23)
      const ab1 = i8x16.shuffle(a, b, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31)
      const de0 = i8x16.shuffle(d, e, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23)
      const de1 = i8x16.shuffle(d, e, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31)
      v128.store(o, i8x16.shuffle(ab0, de0, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23))
      v128.store(o + outStep, i8x16.shuffle(ab0, de0, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
      v128.store(o + outStep * 2, i8x16.shuffle(ab1, de1, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23))
      v128.store(o + outStep * 3, i8x16.shuffle(ab1, de1, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
      p += step * 4
      o += 16
    }
    for (; r < rows; r++) {
      for (let k: usize = 0; k < 4; k++) store<f32>(o + outStep * k, load<f32>(p + (k << 2)))
      p += step
      o += 4
    }
  }
  for (; c < <usize>columns; c++)
    for (let r: usize = 0; r < <usize>rows; r++) store<f32>(out + c * outStep + (r << 2), load<f32>(x + r * step + (c << 2)))
}

/** As `transpose32`, 16-bit elements. */
export function transpose16(x: usize, rows: i32, columns: i32, stride: i32, out: usize, outStride: i32): void {
  for (let c0 = 0; c0 < columns; c0 += 32)
    for (let r = 0; r < rows; r++) {
      const end = min(c0 + 32, columns)
      for (let c = c0; c < end; c++)
        store<u16>(out + (<usize>(c * outStride + r) << 1), load<u16>(x + (<usize>(r * stride + c) << 1)))
    }
}

/** As `transpose32`, bytes. */
export function transpose8(x: usize, rows: i32, columns: i32, stride: i32, out: usize, outStride: i32): void {
  for (let c0 = 0; c0 < columns; c0 += 64)
    for (let r = 0; r < rows; r++) {
      const end = min(c0 + 64, columns)
      for (let c = c0; c < end; c++) store<u8>(out + <usize>(c * outStride + r), load<u8>(x + <usize>(r * stride + c)))
    }
}

/** Packs `n` 2-bit codes (bytes) four to a byte, the earliest in the lowest bits; `n` is a multiple of 4. */
export function packPairs(x: usize, n: i32, out: usize): void {
  for (let i: usize = 0; i < <usize>n; i += 4) {
    const v = load<u32>(x + i) & 0x03030303
    store<u8>(out + (i >> 2), v | (v >> 6) | (v >> 12) | (v >> 18))
  }
}
