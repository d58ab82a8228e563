import type { Elimination } from '../eliminate.ts'
import { arithmetic } from './arithmetic.ts'
import { cast } from './cast.ts'
import { castChain } from './cast-chain.ts'
import { dropout } from './dropout.ts'
import { expand } from './expand.ts'
import { flatten } from './flatten.ts'
import { identity } from './identity.ts'
import { pad } from './pad.ts'
import { reshape } from './reshape.ts'
import { single } from './single.ts'
import { slice } from './slice.ts'
import { squeeze } from './squeeze.ts'
import { tile } from './tile.ts'
import { transpose } from './transpose.ts'

/** Every way in which an operator may do nothing. */
export const eliminations: readonly Elimination[] = [
  identity,
  dropout,
  cast,
  castChain,
  reshape,
  transpose,
  flatten,
  squeeze,
  expand,
  tile,
  pad,
  slice,
  single,
  arithmetic,
]
