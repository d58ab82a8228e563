import fc from 'fast-check'
import { expect, test } from 'vitest'
import { int, ints } from '../../../src/graph/attributes.ts'
import type { Model } from '../../../src/graph/model.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import { tensorType } from '../../../src/graph/types.ts'
import type { Value } from '../../../src/graph/value.ts'
import { run } from '../../../src/passes/clean/run.ts'
import { buildModel, bytesOf, copyOf, difference, passContext, runModel, signatureOf } from '../../support/models.ts'

/** Steps that keep the shape [2, 3], so that any order of them is a valid graph. `a` and `b` choose earlier values. */
const step = fc.record({
  kind: fc.constantFrom('unary', 'binary', 'noop', 'constant', 'shape', 'twice'),
  a: fc.nat(),
  b: fc.nat(),
  c: fc.nat(3),
})
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

function modelOf(steps: readonly Step[], outputs: readonly number[]): Model {
  return buildModel(17, (graph, input) => {
    const values: Value[] = [input('x', ['n', 3]), input('y', ['n', 3])]
    const op = (name: string, inputs: Value[], attributes = {}) =>
      graph.insert({ op: name, inputs, attributes }).output()
    const pick = (index: number) => values[index % values.length]!
    for (const { kind, a, b, c } of steps) {
      const [left, right] = [pick(a), pick(b)]
      const data = (values: number[]) => graph.addInitializer('c', Tensor.float32([3], values))
      if (kind === 'unary') values.push(op(['Neg', 'Abs', 'Relu', 'Tanh'][c]!, [left]))
      if (kind === 'binary') values.push(op(['Add', 'Sub', 'Max', 'Min'][c]!, [left, right]))
      if (kind === 'noop')
        values.push(
          [
            () => op('Identity', [left]),
            () => op('Transpose', [left], { perm: ints([0, 1]) }),
            () => op('Cast', [left], { to: int(1) }),
            () => op('Concat', [left], { axis: int(0) }),
          ][c]!(),
        )
      if (kind === 'constant') values.push(op('Add', [left, op('Exp', [data([c, b % 3, 0])])]))
      if (kind === 'shape') {
        const size = op('Gather', [op('Shape', [left]), graph.addInitializer('i', Tensor.int64([c % 2], []))])
        values.push(op('Mul', [right, op('Cast', [size], { to: int(1) })]))
      }
      if (kind === 'twice') values.push(op('Sub', [op('Sin', [left]), op('Sin', [left])]))
    }
    const results = [...new Set(outputs.map((index) => pick(index)).filter(({ producer }) => producer))]
    for (const value of results) value.type = tensorType('float32', ['n', 3])
    return results
  })
}

test('any graph computes the same after cleaning, is no larger, and a second run changes nothing', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 12 }),
      fc.array(fc.nat(), { minLength: 1, maxLength: 3 }),
      async (steps, outputs) => {
        const model = modelOf(steps, outputs)
        if (!model.graph.outputs.length) return
        const original = copyOf(model)
        const feeds = {
          x: Tensor.float32([2, 3], [1, -2, 3, -0.5, 0.25, 7]),
          y: Tensor.float32([2, 3], [0.1, 0.2, -0.3, 4, -5, 0]),
        }
        const expected = await runModel(original, feeds)
        await run(model, {}, passContext())
        expect(signatureOf(copyOf(model))).toBe(signatureOf(original))
        expect(bytesOf(model).length).toBeLessThanOrEqual(bytesOf(original).length)
        const actual = await runModel(copyOf(model), feeds)
        for (const [name, value] of Object.entries(expected)) expect(difference(actual[name], value)).toBeLessThan(1e-6)
        expect((await run(copyOf(model), {}, passContext())).changes).toBe(0)
      },
    ),
    { numRuns: 60, seed: 7 },
  )
}, 60_000)
