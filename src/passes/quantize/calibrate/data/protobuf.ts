import { readFileSync } from 'node:fs'
import { Tensor } from '../../../../graph/tensor.ts'
import { decodeTensor } from '../../../../onnx/decode.ts'
import { OnnxError } from '../../../../onnx/errors.ts'
import { dataSets } from './files.ts'
import { badData, type CalibrationData, type DataRequest, type Feeds } from './types.ts'

/**
 * A folder of ONNX test data: `test_data_set_N/input_M.pb`, or the `.pb` files of one set. A tensor belongs to the input of its own
 * name, else to the one with its number.
 */
export function protobufData({ path, inputs }: DataRequest): CalibrationData {
  return {
    async *open(): AsyncGenerator<Feeds> {
      for (const files of dataSets(path)) {
        const feeds: Record<string, Tensor> = {}
        for (const file of files) {
          const position = Number(/input_(\d+)\.pb$/.exec(file)![1])
          try {
            const proto = decodeTensor(readFileSync(file))
            const input = inputs.find(({ name }) => name === proto.name) ?? inputs[position]
            if (!input) throw badData(`the model has no input number ${position}`, file)
            feeds[input.name] = Tensor.fromProto(proto, file)
          } catch (error) {
            if (error instanceof OnnxError) throw error.at({ file })
            throw badData(`this is no sound tensor: ${(error as Error).message}`, file, undefined, error)
          }
        }
        yield feeds
      }
    },
  }
}
