import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { badData, type CalibrationData, type DataRequest, type Feeds } from './types.ts'
import { feedOf } from './values.ts'

/** A file with one JSON object per line, values by input. Read line by line. */
export function jsonLinesData({ path, inputs, sources }: DataRequest): CalibrationData {
  return {
    async *open(): AsyncGenerator<Feeds> {
      let number = 0
      for await (const line of createInterface({ input: createReadStream(path, 'utf8'), crlfDelay: 1000 })) {
        number++
        if (!line.trim()) continue
        let value: unknown
        try {
          value = JSON.parse(line)
        } catch (error) {
          throw badData(`line ${number} is no JSON: ${(error as Error).message}`, path)
        }
        if (typeof value !== 'object' || value === null || Array.isArray(value))
          throw badData(`line ${number} is no object of inputs by name`, path)
        yield feedOf(value as Record<string, unknown>, inputs, sources, `line ${number}`, path)
      }
    },
  }
}
