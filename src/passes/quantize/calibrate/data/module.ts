import { pathToFileURL } from 'node:url'
import { Tensor } from '../../../../graph/tensor.ts'
import { OnnxError } from '../../../../onnx/errors.ts'
import { importAnew } from '../../../import-anew.ts'
import { withoutExit } from '../../../without-exit.ts'
import { freshIterator, isStale } from './fresh-module.ts'
import { badData, type CalibrationData, type DataRequest, type Feeds } from './types.ts'
import { feedOf } from './values.ts'

let opened = 0

/**
 * A JavaScript module. Its default export is an (async) iterable of feeds, or a function that returns one (or a promise of one). A feed
 * has a value per input: a tensor as of onnxruntime (`type`, `data`, `dims`), a typed array or a nested array of numbers.
 */
export function moduleData({ path, inputs, sources }: DataRequest): CalibrationData {
  return {
    async *open(): AsyncGenerator<Feeds> {
      let iterator: AsyncIterator<unknown> | Iterator<unknown>
      try {
        iterator = isStale(path)
          ? await freshIterator(pathToFileURL(path).href)
          : await withoutExit(() => iteratorHere(path))
      } catch (error) {
        throw failed(error, path)
      }
      try {
        for (let i = 0; ; i++) {
          let item: IteratorResult<unknown>
          try {
            item = await withoutExit(() => iterator.next())
          } catch (error) {
            throw failed(error, path, i)
          }
          if (item.done) return
          if (typeof item.value !== 'object' || item.value === null || item.value instanceof Tensor)
            throw badData(`sample ${i} is no object of inputs by name`, path)
          yield feedOf(item.value as Record<string, unknown>, inputs, sources, `sample ${i}`, path)
        }
      } finally {
        await iterator.return?.()
      }
    },
  }
}

/** Iterates in this thread, over a module evaluated anew: so exported generators start again. */
async function iteratorHere(path: string): Promise<AsyncIterator<unknown> | Iterator<unknown>> {
  const exported = await importAnew(path, `calibration=${opened++}`)
  return iteratorOf(typeof exported === 'function' ? await (exported as () => unknown)() : exported)
}

function iteratorOf(given: unknown): AsyncIterator<unknown> | Iterator<unknown> {
  const iterable = given as Partial<AsyncIterable<unknown> & Iterable<unknown>> | null | undefined
  if (iterable?.[Symbol.asyncIterator]) return (iterable as AsyncIterable<unknown>)[Symbol.asyncIterator]()
  if (typeof given !== 'string' && iterable?.[Symbol.iterator])
    return (iterable as Iterable<unknown>)[Symbol.iterator]()
  throw new TypeError('its default export is no iterable of feeds and no function that returns one')
}

function failed(error: unknown, path: string, sample?: number): OnnxError {
  if (error instanceof OnnxError) return error.at({ file: path })
  const message = error instanceof Error ? error.message : String(error)
  return badData(
    sample === undefined
      ? `the calibration module can't be used: ${message}`
      : `the calibration module failed at sample ${sample}: ${message}`,
    path,
    'Export an (async) iterable of feeds, or a function that returns one, as default.',
    error,
  )
}
