import { expect, test } from 'vitest'
import { formatBytes, formatDuration, formatRatio } from '../../src/report/index.ts'

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [999.6, '1 kB'],
  [1234, '1.23 kB'],
  [90_868_000, '90.9 MB'],
  [999_600, '1 MB'],
  [435_000_000, '435 MB'],
  [2_713_000_000, '2.71 GB'],
  [5e15, '5000 TB'],
])('%d bytes are %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text))

test.each([
  [0, '0 ms'],
  [0.42, '0.4 ms'],
  [9.97, '10 ms'],
  [320.4, '320 ms'],
  [999.7, '1 s'],
  [1254, '1.25 s'],
  [59_960, '1 min 0 s'],
  [125_000, '2 min 5 s'],
])('%d ms are %s', (ms, text) => expect(formatDuration(ms)).toBe(text))

test.each([
  [100, 26.6, '27 %'],
  [100, 0, '0 %'],
  [1000, 3, '<1 %'],
  [100, 132, '132 %'],
  [0, 5, ''],
])('%d to %d is %s', (before, after, text) => expect(formatRatio(before, after)).toBe(text))
