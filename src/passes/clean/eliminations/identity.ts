import type { Elimination } from '../eliminate.ts'

export const identity: Elimination = {
  ops: ['Identity'],
  find: (node) => node.input(0),
}
