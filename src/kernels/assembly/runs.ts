/** Multiplies the rows of a `rows` x `columns` block at `x` by a factor each, in place. A factor of 0 gives 0 whatever the value. */
export function scaleRows(x: usize, rows: i32, columns: i32, factors: usize): void {
  const length = <usize>columns << 2
  for (let r = 0; r < rows; r++) {
    const factor = load<f32>(factors)
    if (factor == 0) memory.fill(x, 0, length)
    else if (factor != 1) scaleRun(x, columns, factor)
    x += length
    factors += 4
  }
}

/** Multiplies `n` floats at `x` by `factor`, in place. */
function scaleRun(x: usize, n: i32, factor: f32): void {
  const wide = f32x4.splat(factor)
  let p = x
  const vectors = x + (<usize>(n & ~3) << 2)
  for (; p < vectors; p += 16) v128.store(p, f32x4.mul(v128.load(p), wide))
  const end = x + (<usize>n << 2)
  for (; p < end; p += 4) store<f32>(p, load<f32>(p) * factor)
}

/** Adds the squares of each row of a `rows` x `columns` block at `x` to the double of the row at `sums`. */
export function squaresRows(x: usize, rows: i32, columns: i32, sums: usize): void {
  for (let r = 0; r < rows; r++) {
    store<f64>(sums, load<f64>(sums) + squaresRun(x, columns))
    x += <usize>columns << 2
    sums += 8
  }
}

/** Sum of the squares of `n` floats at `x`, in double precision. */
function squaresRun(x: usize, n: i32): f64 {
  let wide = f64x2.splat(0)
  let p = x
  const vectors = x + (<usize>(n & ~3) << 2)
  for (; p < vectors; p += 16) {
    const v = v128.load(p)
    const low = f64x2.promote_low_f32x4(v)
    const high = f64x2.promote_low_f32x4(v128.shuffle<f32>(v, v, 2, 3, 2, 3))
    wide = f64x2.add(wide, f64x2.add(f64x2.mul(low, low), f64x2.mul(high, high)))
  }
  let sum = f64x2.extract_lane(wide, 0) + f64x2.extract_lane(wide, 1)
  const end = x + (<usize>n << 2)
  for (; p < end; p += 4) {
    const v = <f64>load<f32>(p)
    sum += v * v
  }
  return sum
}
