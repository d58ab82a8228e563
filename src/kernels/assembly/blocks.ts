// Block-wise quantization.

import { codeBnb4 } from './bnb4'
import { finish, gridOfRange } from './grid'
import { findRange, gather, takeSeen, WIDE, Work } from './group'
import { halfQuadratic } from './hqq'
import { search } from './search'

/**
 * Quantizes the blocks of `work`. Methods: 0 by range, 1 least squared error, 2 the same with large values counting for more, 3
 * half-quadratic, with float32 zero points; 4 FP4 and 5 NF4, which give magnitudes and no zero points.
 *
 * @returns 1 if some value was not finite: the results mean nothing then
 */
export function quantizeBlocks(work: Work): i32 {
  const blocks = (work.length + work.size - 1) / work.size
  const bytes = <usize>work.size << 4
  const method = work.method
  const last = <f32>((1 << work.bits) - 1)
  const middle = <f32>(1 << (work.bits - 1))
  for (let c = 0; c < work.channels; c += 4 * WIDE)
    for (let block = 0; block < blocks; block++) {
      gather(work, c, block)
      const end = min(work.channels, c + 4 * WIDE)
      let t = work.group
      for (let channel = c; channel < end; channel += 4) {
        const lanes = min(end - channel, 4)
        if (method >= 4) codeBnb4(t, work, channel, block, lanes)
        else {
          findRange(t, work.size)
          if (method == 3) halfQuadratic(t, work, channel, block, lanes)
          else {
            if (method == 0) gridOfRange(work.symmetric, last, middle)
            else search(t, work, method == 2 ? 1 : 0)
            finish(t, work, channel, block, lanes)
          }
        }
        t += bytes
      }
    }
  return takeSeen()
}
