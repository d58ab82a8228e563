import { no, type Rule, rule } from '../../../rewrite/index.ts'
import { arrange, planOf } from './arrange.ts'
import { viewOf } from './view.ts'

/** What is left of head splits and merges once the attention between them takes [batch, length, hidden] itself. */
export const collapseViews: Rule = rule({
  name: 'collapse-views',
  doc: 'Reshapes and Transposes in a row that move nothing -> what they started from; other rows -> the fewest that do the same',
  match: ({ oneOf, any, rest }) => oneOf(['Reshape', 'Transpose', 'Squeeze', 'Unsqueeze', 'Flatten'], any('x'), rest()),
  check: ({ root }) => {
    const stages = viewOf(root)
    if (!stages || stages.length < 2) return no('stands alone', root)
    const wanted = stages.at(-1)!.axes
    const { from, nodes } = planOf(stages.slice(0, -1), wanted)
    return nodes < stages.length - 1 - from ? { stages, wanted } : no('can not be shorter', root)
  },
  replace: (match) => arrange(match, match.stages.slice(0, -1), match.wanted),
})
