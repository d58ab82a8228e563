import { adapters } from './adapters/index.ts'
import { channelLast } from './channel-last/index.ts'
import { clean } from './clean/index.ts'
import { fixedShape } from './fixed-shape/index.ts'
import { float16 } from './float16/index.ts'
import { fuse } from './fuse/index.ts'
import { inputInt32 } from './input-int32/index.ts'
import { legality } from './legality/index.ts'
import { ortOptimize } from './ort-optimize/index.ts'
import type { AnyPass } from './pass.ts'
import { processing } from './processing/index.ts'
import { autoQuantization } from './quantize/auto/index.ts'
import { dynamicQuantization } from './quantize/dynamic/index.ts'
import { staticQuantization } from './quantize/static/index.ts'
import { weightQuantization } from './quantize/weights/index.ts'
import { verify } from './verify/index.ts'

/**
 * All passes, in the order in which the pipeline runs them. Registration is this list: options, types, flags, docs and
 * the cache key follow from it. Write the type out as a tuple (`readonly [typeof clean, typeof shape]`): the
 * options' TypeScript types come from it.
 */
export const passes: readonly [
  typeof fixedShape,
  typeof channelLast,
  typeof adapters,
  typeof clean,
  typeof fuse,
  typeof ortOptimize,
  typeof inputInt32,
  typeof dynamicQuantization,
  typeof staticQuantization,
  typeof weightQuantization,
  typeof autoQuantization,
  typeof float16,
  typeof legality,
  typeof verify,
  typeof processing,
] = [
  fixedShape,
  channelLast,
  adapters,
  clean,
  fuse,
  ortOptimize,
  inputInt32,
  dynamicQuantization,
  staticQuantization,
  weightQuantization,
  autoQuantization,
  float16,
  legality,
  verify,
  processing,
]

/** The same list where passes are treated alike. */
export const allPasses: readonly AnyPass[] = passes
