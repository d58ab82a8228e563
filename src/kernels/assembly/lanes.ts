// What the block kernels share: sums over lanes and the range of a block.

/** Sum of the four float lanes. */
@inline export function sumLanes(v: v128): f32 {
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3))
}

/** The range of the block that `findRange` looked at last. */
export let low: f32 = 0
export let high: f32 = 0

/** Smallest and largest of `size` floats at `x` (a multiple of 4), into `low` and `high`. */
export function findRange(x: usize, size: usize): void {
  let min0 = v128.load(x), max0 = min0
  for (let i: usize = 4; i < size; i += 4) {
    const v = v128.load(x + (i << 2))
    min0 = f32x4.pmin(min0, v)
    max0 = f32x4.pmax(max0, v)
  }
  low = min(min(f32x4.extract_lane(min0, 0), f32x4.extract_lane(min0, 1)), min(f32x4.extract_lane(min0, 2), f32x4.extract_lane(min0, 3)))
  high = max(max(f32x4.extract_lane(max0, 0), f32x4.extract_lane(max0, 1)), max(f32x4.extract_lane(max0, 2), f32x4.extract_lane(max0, 3)))
}

