import type { CalibrationData, Feeds } from '../calibrate/data/index.ts'

/** Every so many samples one is kept for judging. */
const EVERY = 4

const isKept = (sample: number): boolean => sample % EVERY === EVERY - 1

/** The samples that ranges and weights are fitted to: those that are judged by would speak too well of them. */
export function forFitting(data: CalibrationData): CalibrationData {
  return {
    async *open() {
      let sample = 0
      for await (const feeds of data.open()) if (!isKept(sample++)) yield feeds
    },
  }
}

/** The samples that models are judged by: those that nothing was fitted to; all where there are too few. */
export async function forJudging(data: CalibrationData): Promise<Feeds[]> {
  const kept: Feeds[] = []
  const others: Feeds[] = []
  let sample = 0
  for await (const feeds of data.open()) {
    if (isKept(sample++)) kept.push(feeds)
    else if (!kept.length) others.push(feeds)
  }
  return kept.length ? kept : others
}
