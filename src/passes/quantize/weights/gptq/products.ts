import { Model } from '../../../../graph/model.ts'
import { Tensor } from '../../../../graph/tensor.ts'
import { tensorType } from '../../../../graph/types.ts'
import type { OrtService } from '../../../../ort/service.ts'

/** Matrix products in ONNX Runtime: in plain JavaScript they take a hundred times as long. */
export interface Products {
  /** The product of matrices [rows, inner] and [inner, columns], row by row. */
  multiply(a: Float32Array, b: Float32Array, inner: number): Promise<Float32Array>
  release(): Promise<void>
}

export async function openProducts(ort: OrtService, threads: number): Promise<Products> {
  const model = new Model({ opset: 17 })
  const { graph } = model
  const [a, b] = ['a', 'b'].map((name) => graph.addInput(name, tensorType('float32', [null, null])))
  graph.addOutput(graph.insert({ op: 'MatMul', inputs: [a!, b!] }).output())
  const session = await ort.open(model, { intraOpNumThreads: threads })
  const [output] = session.outputs.map(({ name }) => name)
  return {
    async multiply(left, right, inner) {
      const feeds = {
        a: Tensor.float32([left.length / inner, inner], left),
        b: Tensor.float32([inner, right.length / inner], right),
      }
      return (await session.run(feeds))[output!]!.float32()
    },
    release: () => session.release(),
  }
}
