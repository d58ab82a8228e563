import { finding, type LintRule } from '../finding.ts'

/** Copies between devices that an optimizer wrote into the model. */
export const copies: LintRule = ({ model }) =>
  finding(
    'copies',
    [...model.graph.allNodes()].filter(({ opType }) => opType === 'MemcpyToHost' || opType === 'MemcpyFromHost'),
    {
      message: 'Memcpy nodes: the model was saved by a runtime for one machine',
      cost: 'each waits for the device and copies a tensor',
      change: 'Build from the original model instead.',
    },
  )
