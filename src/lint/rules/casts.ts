import { finding, type LintRule } from '../finding.ts'

/** Casts between float types inside of the model, other than those at its inputs and outputs. */
export const casts: LintRule = ({ model }) => {
  const nodes = [...model.graph.allNodes()].filter((node) => {
    if (!node.is('Cast')) return false
    const [from, to] = [node.input(0), node.output()]
    const floats = from?.isFloat && to.isFloat
    const atBorder = from?.isInput || to.isOutput
    return floats && !atBorder
  })
  const pairs = nodes.filter((node) => node.input(0)?.producer?.is('Cast')).length
  return finding('casts', nodes, {
    message: `Casts between float types inside of the model${pairs ? `, ${pairs} of them right after another` : ''}`,
    cost: 'each is a kernel of its own and a pass over memory, and stops fusions',
    change: 'Keep neighbours in one precision: `precision=mixed` finds the few nodes that need float32.',
  })
}
