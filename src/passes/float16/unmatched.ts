import picomatch from 'picomatch'
import type { Model } from '../../graph/model.ts'
import { foldCase } from '../../params/case.ts'
import type { PassContext } from '../pass.ts'
import type { Float16Options } from './index.ts'
import { GLOB, namesOf } from './names.ts'

/** Notes names in the options that fit nothing in the model, as they are most likely misspelt. */
export function noteUnmatched(
  model: Model,
  { keepIo = [], float32Nodes = [], float32Ops = [] }: Float16Options,
  note: PassContext['note'],
): void {
  const warn = (message: string): void => note({ level: 'warn', code: 'float16/unmatched', message })
  const io = [...model.graph.inputs, ...model.graph.outputs].map(({ name }) => name)
  for (const name of keepIo)
    if (!io.includes(name)) warn(`keepIo: the model has no input or output "${name}"; it has ${io.join(', ')}`)
  const nodes = [...model.graph.allNodes()]
  for (const pattern of float32Nodes) {
    const fits = picomatch(pattern, GLOB)
    if (nodes.some((node) => namesOf(node).some((name) => name === pattern || fits(name)))) continue
    warn(`float32Nodes: no node of the model is called "${pattern}"`)
  }
  // Lists of types are made for many models: only what looks misspelt is told.
  const types = new Set(nodes.flatMap(({ opType, qualifiedType }) => [opType, qualifiedType]))
  for (const type of float32Ops) {
    const near = [...types].find((known) => known !== type && foldCase(known) === foldCase(type))
    if (near && !types.has(type)) warn(`float32Ops: the model has no ${type}. Did you mean ${near}?`)
  }
}
