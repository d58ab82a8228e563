import { Model } from '../../../../graph/model.ts'
import { Tensor } from '../../../../graph/tensor.ts'
import { tensorType } from '../../../../graph/types.ts'
import type { Value } from '../../../../graph/value.ts'
import type { OrtService } from '../../../../ort/service.ts'

/** Matrix products in ONNX Runtime: in plain JavaScript they take a hundred times as long. */
export interface Products {
  /** The product of matrices [rows, inner] and [inner, columns], row by row. */
  multiply(a: Float32Array, b: Float32Array, inner: number): Promise<Float32Array>
  /** The product of the transpose of a matrix [rows, columns] and the matrix itself: [columns, columns]. */
  gram(x: Float32Array, columns: number): Promise<Float32Array>
  release(): Promise<void>
}

/** Opens the sessions that multiply. Release them when done. */
export async function openProducts(ort: OrtService, threads: number): Promise<Products> {
  const matrices = (count: number): { model: Model; inputs: Value[] } => {
    const model = new Model({ opset: 17 })
    const names = ['a', 'b'].slice(0, count)
    return { model, inputs: names.map((name) => model.graph.addInput(name, tensorType('float32', [null, null]))) }
  }
  const open = async ({ model }: { model: Model }, product: Value): Promise<OpenProduct> => {
    model.graph.addOutput(product)
    const session = await ort.open(model, {
      intraOpNumThreads: threads,
      // between products its threads would only be in the way of this one
      extra: { session: { intra_op: { allow_spinning: '0' } } },
    })
    const [output] = session.outputs.map(({ name }) => name)
    return {
      run: async (feeds) => (await session.run(feeds))[output!]!.float32(),
      release: () => session.release(),
    }
  }
  const two = matrices(2)
  const product = await open(two, two.model.graph.insert({ op: 'MatMul', inputs: two.inputs }).output())
  const one = matrices(1)
  const transposed = one.model.graph.insert({ op: 'Transpose', inputs: one.inputs }).output()
  const square = await open(one, one.model.graph.insert({ op: 'MatMul', inputs: [transposed, ...one.inputs] }).output())
  return {
    multiply: (left, right, inner) =>
      product.run({
        a: Tensor.float32([left.length / inner, inner], left),
        b: Tensor.float32([inner, right.length / inner], right),
      }),
    gram: (x, columns) => square.run({ a: Tensor.float32([x.length / columns, columns], x) }),
    async release() {
      await product.release()
      await square.release()
    },
  }
}

interface OpenProduct {
  run(feeds: Record<string, Tensor>): Promise<Float32Array>
  release(): Promise<void>
}
