import type { Passes } from './search.ts'

/** How `pack` asks. */
export interface Questions {
  count: number
  /** The share of the allowed error that these units make when they alone are float16. */
  error(float16: ReadonlySet<number>): Promise<number>
  passes: Passes
  /** True when this share of all runs is used up. */
  isOver(share: number): boolean
}

/** Neighbouring units and their error. */
interface Block {
  units: readonly number[]
  error: number
}

/** How many blocks the model is measured in at first. */
const BLOCKS = 16

/** A little of the allowed error stays free: sums of errors are estimates. */
const ALLOWED = 0.9

/**
 * Fills the allowed error with as many float16 units as fit. Rounding errors are independent, so their energies add: each block of
 * the model is measured alone, the cheapest per unit are taken, and those that do not fit are split and measured again.
 *
 * @param known units whose float32 passes
 * @returns fewer units whose float32 passes, or `known`
 */
export async function pack(known: Set<number>, questions: Questions): Promise<Set<number>> {
  const { count, error, passes, isOver } = questions
  const all = Array.from({ length: count }, (_, i) => i)
  const size = Math.ceil(count / BLOCKS)
  // Large weights are rounded whatever is chosen.
  const base = await error(new Set())
  const added = async (units: readonly number[]): Promise<number> => Math.max(0, (await error(new Set(units))) - base)
  const allowed = ALLOWED * (1 - base)
  let blocks: Block[] = []
  for (let at = 0; at < count; at += size) {
    const units = all.slice(at, at + size)
    blocks.push({ units, error: await added(units) })
  }
  for (;;) {
    const { out } = fill(blocks, allowed)
    // The cheapest of those that do not fit are the ones of which a part may.
    const next = out.find(({ units }) => units.length > 1)
    if (!next || isOver(0.75)) break
    const middle = next.units.length >> 1
    const first = { units: next.units.slice(0, middle), error: 0 }
    first.error = await added(first.units)
    const halves: Block[] = [first, { units: next.units.slice(middle), error: Math.max(0, next.error - first.error) }]
    blocks = [...blocks.filter((block) => block !== next), ...halves]
  }
  // What was taken last goes back until it passes.
  const { taken, out } = fill(blocks, allowed)
  for (;;) {
    const float32 = new Set(out.flatMap(({ units }) => units))
    if (float32.size >= known.size || isOver(1)) return known
    if (await passes(float32)) return float32
    out.push(taken.pop()!)
  }
}

/** The cheapest blocks that fit together, and the others, cheapest first. */
function fill(blocks: readonly Block[], allowed: number): { taken: Block[]; out: Block[] } {
  const order = [...blocks].sort((a, b) => a.error / a.units.length - b.error / b.units.length)
  const taken: Block[] = []
  const out: Block[] = []
  let sum = 0
  for (const block of order) {
    if (sum + block.error <= allowed) {
      sum += block.error
      taken.push(block)
    } else out.push(block)
  }
  return { taken, out }
}
