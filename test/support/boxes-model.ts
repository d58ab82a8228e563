import type { Model } from '../../src/graph/model.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import { buildModel, copyOf } from './models.ts'

/** A detector that gives the rows as `y`, [1, rows, numbers], whatever image [1, 3, 64, 64] goes in as `x`. */
export function boxesModel(rows: readonly (readonly number[])[]): Model {
  return copyOf(
    buildModel(18, (graph, input) => {
      const sum = graph.insert({ op: 'ReduceSum', inputs: [input('x', [1, 3, 64, 64])] }).output()
      const zero = graph.addInitializer('z', Tensor.float32([], [0]))
      const none = graph.insert({ op: 'Mul', inputs: [sum, zero] }).output()
      const one = graph.addInitializer('one', Tensor.int64([1, 1, 1]))
      const flat = graph.insert({ op: 'Reshape', inputs: [none, one] }).output()
      const table = graph.addInitializer('boxes', Tensor.float32([1, rows.length, rows[0]!.length], rows.flat()))
      return [graph.insert({ op: 'Add', inputs: [table, flat], outputs: ['y'] }).output()]
    }),
  )
}
