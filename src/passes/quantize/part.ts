import type { Node } from '../../graph/node.ts'
import type { Tensor } from '../../graph/tensor.ts'
import type { Value } from '../../graph/value.ts'
import type { QuantizedBlocks } from '../../kernels/index.ts'
import type { CalibrationData } from './calibrate/data/index.ts'
import type { Calibration } from './calibrate/index.ts'

/**
 * A part of a model that is quantized in one way, where other parts are quantized in other ways: what was quantized before is no reason
 * to stop. What is found out about weights and activations is kept for the next time.
 */
export interface Part {
  /** Whether a node belongs to the part. */
  selects(node: Node): boolean
  /** Which samples may be looked at. */
  samples(data: CalibrationData): CalibrationData
  /** Measures those of the values that were not measured before. */
  calibrate(
    method: string,
    values: readonly Value[],
    measure: (values: readonly Value[]) => Promise<Calibration>,
  ): Promise<Calibration>
  /** Weights in blocks, by what they were asked for with. */
  blocks: WeakMap<Tensor, Map<string, { result?: QuantizedBlocks; hasHalfScales?: boolean }>>
}
