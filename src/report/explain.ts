import { readModel } from '../graph/import.ts'
import { createOrtService } from '../ort/service.ts'
import { run as runClean } from '../passes/clean/run.ts'
import { type Explanation, explainFusions } from '../passes/fuse/explain.ts'
import type { Note } from '../passes/pass.ts'

/** What `fuse=auto` would do to a model, as plain JSON. */
export interface FusionReport extends Explanation {
  device: string
  /** Attention operators after fusing, and those that stay in pieces. */
  attention: { fused: number; left: number }
  notes: Note[]
}

const ATTENTION = /(^|:)(Packed)?((MultiHead|GroupQuery)?Attention|PackedMultiHeadAttention)$/

/**
 * Cleans and fuses a model in memory, as a build would, and tells what came of it and what stopped each rule elsewhere. The file
 * stays as it is.
 *
 * @param file path of the model
 * @param device decides which operators may come out
 * @throws OnnxError if it is no valid model
 */
export async function explainModel(file: string, device: string): Promise<FusionReport> {
  const model = readModel(file)
  const notes: Note[] = []
  const ort = createOrtService()
  await runClean(model, {}, { ort })
  const explanation = await explainFusions(model, { ort, device, note: (note) => void notes.push(note) })
  const after = Object.entries(model.histogram())
  const count = (isIt: (op: string) => boolean): number =>
    after.reduce((sum, [op, number]) => sum + (isIt(op) ? number : 0), 0)
  // What the rule for attention stumbled over at its last step: a Softmax whose weights go into a product.
  const left = explanation.nearMisses.filter(({ rule, matched, total }) => rule === 'attention' && 2 * matched >= total)
  const attention = { fused: count((op) => ATTENTION.test(op)), left: left.length }
  return { device, attention, ...explanation, notes }
}
