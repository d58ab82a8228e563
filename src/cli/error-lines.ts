import pc from 'picocolors'
import type { ErrorReport } from '../measure/error/index.ts'
import { columns } from './columns.ts'

/** Lines of each list. */
const MOST = 20

/** Errors of a quantized model as text for people. */
export function errorLines({ reference, samples, activations, weights, layers }: ErrorReport): string[] {
  const section = (title: string, rows: readonly (readonly string[])[], all: number): string[] =>
    rows.length
      ? [
          '',
          pc.bold(title),
          ...columns(rows).map((row) => `  ${row}`),
          ...(all > MOST ? [`  and ${all - MOST} more`] : []),
        ]
      : []
  const worst = [...activations].sort((a, b) => (a.total ?? 999) - (b.total ?? 999)).slice(0, MOST)
  return [
    '',
    pc.bold(`Against ${reference}, ${samples} ${samples === 1 ? 'sample' : 'samples'}`),
    ...section(
      'Layers by the noise they add',
      layers
        .slice(0, MOST)
        .map(({ op, node, added, total, input }) => [
          `${added.toPrecision(3)} %`,
          op,
          node,
          `${input === undefined ? '' : `${ratio(input)} -> `}${ratio(total)}`,
        ]),
      layers.length,
    ),
    ...section(
      'Activations, the least like the float ones first',
      worst.map(({ name, total, rounding, maxDifference, rescaled }) => [
        ratio(total),
        name,
        `${rescaled ? 'rescaled' : `largest error ${maxDifference.toPrecision(3)}`}${rounding === undefined ? '' : `, rounding alone ${ratio(rounding)}`}`,
      ]),
      activations.length,
    ),
    ...section(
      'Weights',
      weights
        .slice(0, MOST)
        .map(({ name, type, sqnr, maxDifference, rescaled }) => [
          ratio(sqnr),
          type,
          name,
          `largest error ${maxDifference.toPrecision(3)}${rescaled ? ', rescaled' : ''}`,
        ]),
      weights.length,
    ),
  ]
}

function ratio(decibels: number | null): string {
  return decibels === null ? 'exact' : `${decibels.toFixed(1)} dB`
}
