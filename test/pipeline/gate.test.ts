import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Flights } from '../../src/pipeline/flight.ts'
import { Gate } from '../../src/pipeline/gate.ts'

/** Runs tasks of these weights through a gate; what was let in together at most. */
async function crowd(
  gate: Gate,
  weights: readonly number[],
): Promise<{ count: number; weight: number; order: number[] }> {
  const seen = { count: 0, weight: 0, order: [] as number[] }
  const now = { count: 0, weight: 0 }
  await Promise.all(
    weights.map((weight, i) =>
      gate.run(weight, undefined, async () => {
        now.count++
        now.weight += weight
        seen.count = Math.max(seen.count, now.count)
        seen.weight = Math.max(seen.weight, now.weight)
        seen.order.push(i)
        await sleep(2)
        now.count--
        now.weight -= weight
      }),
    ),
  )
  return seen
}

test('the gate bounds how many run', async () => {
  const { count, order } = await crowd(new Gate(2, 100), [1, 1, 1, 1, 1])
  expect(count).toBe(2)
  expect(order).toEqual([0, 1, 2, 3, 4])
})

test('the gate bounds the memory of what runs', async () => {
  expect((await crowd(new Gate(9, 10), [6, 6, 4, 4, 2])).weight).toBeLessThanOrEqual(10)
})

test('what is too heavy for the gate runs alone, in its turn', async () => {
  const { weight, order } = await crowd(new Gate(9, 10), [3, 50, 3])
  expect(weight).toBe(50)
  expect(order).toEqual([0, 1, 2])
})

test('who fails or gives up makes room', async () => {
  const gate = new Gate(1, 10)
  const controller = new AbortController()
  const failing = gate.run(1, undefined, async () => {
    await sleep(5)
    throw new Error('no')
  })
  const givingUp = gate.run(1, controller.signal, async () => 'never')
  const last = gate.run(1, undefined, async () => 'last')
  controller.abort()
  await expect(givingUp).rejects.toMatchObject({ code: 'ABORTED' })
  await expect(failing).rejects.toThrow('no')
  expect(await last).toBe('last')
  expect(gate.load).toBe(0)
})

test('flights with one key are one, with the next one afresh', async () => {
  const flights = new Flights<number>()
  let starts = 0
  const start = async () => {
    await sleep(2)
    return ++starts
  }
  expect(await Promise.all([flights.join('a', undefined, start), flights.join('a', undefined, start)])).toEqual([1, 1])
  expect(await flights.join('a', undefined, start)).toBe(2)
  await expect(flights.join('b', undefined, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await flights.join('b', undefined, start)).toBe(3)
  expect(flights.size).toBe(0)
})

test('a flight goes on until the last passenger has left', async () => {
  const flights = new Flights<string>()
  const [one, two] = [new AbortController(), new AbortController()]
  let stopped = false
  const start = (signal: AbortSignal) =>
    new Promise<string>((_, reject) =>
      signal.addEventListener('abort', () => {
        stopped = true
        reject(new Error('stopped'))
      }),
    )
  const first = flights.join('a', one.signal, start)
  const second = flights.join('a', two.signal, start)
  one.abort()
  await expect(first).rejects.toMatchObject({ code: 'ABORTED' })
  expect(stopped).toBe(false)
  two.abort()
  await expect(second).rejects.toMatchObject({ code: 'ABORTED' })
  expect(stopped).toBe(true)
})

test('one who can not leave keeps the flight in the air', async () => {
  const flights = new Flights<string>()
  const controller = new AbortController()
  let stopped = false
  const start = async (signal: AbortSignal) => {
    await sleep(5)
    stopped = signal.aborted
    return 'landed'
  }
  const staying = flights.join('a', undefined, start)
  const leaving = flights.join('a', controller.signal, start)
  controller.abort()
  await expect(leaving).rejects.toMatchObject({ code: 'ABORTED' })
  expect(await staying).toBe('landed')
  expect(stopped).toBe(false)
})
