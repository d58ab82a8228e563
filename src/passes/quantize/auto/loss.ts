import type { Tensor } from '../../../graph/tensor.ts'
import { hiddenRows, maskOf } from '../../../measure/hidden.ts'
import { difference } from '../../../measure/metrics.ts'
import type { Session } from '../../../ort/session.ts'
import type { CalibrationData, Feeds } from '../calibrate/data/index.ts'
import { forJudging } from './halves.ts'

/** Gives the loss of a model: 0 for the float one. */
export interface Judge {
  loss(session: Session): Promise<number>
}

type Outputs = Readonly<Record<string, Tensor>>

/**
 * Compares outputs with those of the float model, all samples alike; the worst output counts. What the attention mask hides is left out.
 *
 * @param metric `cosine`: 1 - cosine; `sqnr`: the energy of the difference over that of the output
 */
export async function judgeByOutputs(float: Session, data: CalibrationData, metric: 'cosine' | 'sqnr'): Promise<Judge> {
  const samples: { feeds: Feeds; expected: Outputs }[] = []
  for (const feeds of await forJudging(data)) samples.push({ feeds, expected: await float.run(feeds) })
  return {
    async loss(session) {
      const sums = new Map<string, number>()
      for (const { feeds, expected } of samples) {
        const found = await session.run(feeds)
        const mask = maskOf(feeds)
        for (const [name, tensor] of Object.entries(expected)) {
          const hidden = mask && hiddenRows(tensor, mask)
          const { cosine, sqnr } = difference(found[name]!, tensor, { rtol: 0, atol: 0 }, hidden)
          const lost = metric === 'cosine' ? 1 - cosine : 10 ** (-sqnr / 10)
          sums.set(name, (sums.get(name) ?? 0) + lost / samples.length)
        }
      }
      return Math.max(0, ...sums.values())
    },
  }
}
