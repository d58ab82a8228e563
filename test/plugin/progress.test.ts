import { expect, test } from 'vitest'
import { progressLines } from '../../src/plugin/bundlers/progress.ts'

test('long builds say how far they are; quick ones and models from the cache say nothing', () => {
  const lines: string[] = []
  let time = 0
  const report = progressLines({ info: (message) => void lines.push(message) }, () => time)
  const at = (ms: number, phase: string, fraction: number) => {
    time = ms
    report({ file: '/app/bert.onnx', phase, fraction })
  }
  at(0, 'hash', 0)
  at(100, 'read', 0)
  at(700, 'quantize', 0)
  at(800, 'quantize', 0.1)
  at(1300, 'quantize', 0.456)
  at(2000, 'quantize', 1)
  expect(lines).toEqual(['onnx bert.onnx: quantize', 'onnx bert.onnx: quantize 46 %'])
  at(9000, 'hash', 0)
  at(9100, 'read', 0)
  expect(lines).toHaveLength(2)
})
