import type { Node } from '../../../../graph/node.ts'

/**
 * One node, as a rule sees it. A value with exponent e is stored as v * 2^-e; operators that are linear, or powers, compute as
 * well with the stored numbers, and what they give has an exponent that follows from those of the inputs.
 */
export interface Balance {
  readonly node: Node
  /** Exponent that input `index` is stored with; 0 for constants. */
  stored(index: number): number
  /** True for constants of float32, which any power of two can be multiplied into. */
  isConstant(index: number): boolean
  /**
   * Asks for input `index` with another exponent; of a constant false, and nothing done, if its digits would not fit a half. Those
   * of a summand may get lost.
   */
  read(index: number, exponent: number, isSummand?: boolean): boolean
  /** Multiplies the epsilon of a norm by 2^-exponent. */
  scaleEpsilon(exponent: number): void
  /** The lowest exponent with which the outputs fit a half. */
  readonly least: number
  /** The exponent to choose where it is free: 0 if the outputs fit as they are. */
  readonly goal: number
  /** True if the outputs must have the exponent 0. */
  readonly isFixed: boolean
}

/** Decides about a node; returns the exponent of its outputs, one for all or one each. */
type BalanceRule = (balance: Balance) => number | readonly number[]

/** The best exponent near `natural`, which costs nothing. */
function settle({ isFixed, least, goal }: Balance, natural: number): number {
  if (isFixed) return 0
  return natural >= least ? natural : goal
}

/** f(c x) = c f(x), in the first input. */
const linear: BalanceRule = (balance) => {
  const exponent = settle(balance, balance.stored(0))
  for (const index of floatInputs(balance.node)) balance.read(index, index === 0 ? exponent : 0)
  return exponent
}

/** The highest exponent among computed inputs. */
function highest(balance: Balance, indices: readonly number[]): number {
  const stored = indices.filter((index) => !balance.isConstant(index)).map((index) => balance.stored(index))
  return stored.length ? Math.max(...stored) : 0
}

/** Linear in inputs that must have one exponent. */
function together(indices: (node: Node) => readonly number[], output: (exponent: number) => number): BalanceRule {
  return (balance) => {
    const read = indices(balance.node).filter((index) => balance.node.input(index)?.dtype === 'float32')
    const exponent = settle(balance, highest(balance, read))
    if (read.every((index) => balance.read(index, exponent, true))) return output(exponent)
    for (const index of read) balance.read(index, 0)
    return 0
  }
}

const floatInputs = (node: Node): number[] =>
  node.inputs.flatMap((value, index) => (value?.dtype === 'float32' ? [index] : []))
const sum = together(floatInputs, (exponent) => exponent)

/** Product of inputs 0 and 1, plus input 2. */
const product: BalanceRule = (balance) => {
  const { node } = balance
  const result = factors(balance)
  if (node.input(2)?.dtype === 'float32' && node.opType !== 'Mul') balance.read(2, result, true)
  return result
}

function factors(balance: Balance): number {
  const [a, b] = [balance.stored(0), balance.stored(1)]
  const goal = balance.isFixed ? 0 : balance.goal
  for (const [constant, other] of [
    [1, a],
    [0, b],
  ] as const) {
    if (!balance.isConstant(constant)) continue
    if (balance.read(constant, goal - other)) return goal
    const exponent = settle(balance, other)
    balance.read(1 - constant, exponent)
    return exponent
  }
  const exponent = settle(balance, a + b)
  if (exponent === a + b) return exponent
  if (balance.node.input(0) === balance.node.input(1)) {
    const half = Math.ceil(exponent / 2)
    balance.read(0, half)
    balance.read(1, half)
    return half * 2
  }
  balance.read(0, exponent - b)
  return exponent
}

const quotient: BalanceRule = (balance) => {
  const [a, b] = [balance.stored(0), balance.stored(1)]
  const goal = balance.isFixed ? 0 : balance.goal
  if (balance.isConstant(1) && balance.read(1, a - goal)) return goal
  if (balance.isConstant(0) && balance.read(0, goal + b)) return goal
  const exponent = settle(balance, a - b)
  if (exponent !== a - b) balance.read(0, exponent + b)
  return exponent
}

/** f(c x) = c^power f(x). */
function power(power: number, balance: Balance): number {
  const natural = power * balance.stored(0)
  if (Number.isInteger(natural) && settle(balance, natural) === natural) return natural
  const goal = balance.isFixed ? 0 : balance.goal
  // Roots take even exponents only.
  const step = Number.isInteger(power) ? 1 : 2
  const read = Math.ceil(goal / power / step) * step
  balance.read(0, read)
  return power * read
}

const pow: BalanceRule = (balance) => {
  const by = balance.node.input(1)?.constant?.scalar()
  return by !== undefined && (by === 0.5 || (Number.isInteger(by) && by > 0 && by <= 4))
    ? power(by, balance)
    : plain(balance)
}

/** Norms give the same for any multiple of their input, if epsilon is multiplied too. */
const norm: BalanceRule = (balance) => {
  balance.scaleEpsilon(2 * balance.stored(0))
  return 0
}

/** (x - mean) / sqrt(variance + epsilon). */
const batchNorm: BalanceRule = (balance) => {
  const exponent = balance.stored(0)
  if (balance.node.outputs.length > 1 || !balance.read(3, exponent) || !balance.read(4, 2 * exponent))
    return plain(balance)
  balance.scaleEpsilon(2 * exponent)
  return 0
}

/** A norm of the sum of some inputs, which it gives as its fourth output. */
const skipNorm =
  (summands: readonly number[]): BalanceRule =>
  (balance) => {
    const read = floatInputs(balance.node).filter((index) => summands.includes(index))
    const natural = highest(balance, read)
    const exponent = balance.node.outputs[3]?.isUnused === false ? settle(balance, natural) : natural
    if (!read.every((index) => balance.read(index, exponent, true))) return plain(balance)
    balance.scaleEpsilon(2 * exponent)
    return [0, 0, 0, exponent]
  }

/** What asks for the numbers themselves. */
const plain: BalanceRule = (balance) => {
  for (const index of floatInputs(balance.node)) balance.read(index, 0)
  return 0
}

/** The same for any positive multiple. */
const invariant: BalanceRule = () => 0

const RULES: Readonly<Record<string, BalanceRule>> = {
  ...Object.fromEntries(
    [
      ...['Reshape', 'Transpose', 'Slice', 'Squeeze', 'Unsqueeze', 'Flatten', 'Identity', 'Gather', 'GatherElements'],
      ...['GatherND', 'Expand', 'Tile', 'Split', 'ReduceMax', 'ReduceMin', 'ReduceMean', 'ReduceSum', 'ReduceL1'],
      ...['ReduceL2', 'Abs', 'Neg', 'Relu', 'LeakyRelu', 'PRelu', 'MaxPool', 'AveragePool', 'GlobalAveragePool'],
      ...['GlobalMaxPool', 'Dropout', 'DepthToSpace', 'SpaceToDepth', 'CumSum', 'TopK', 'Trilu', 'ReverseSequence'],
    ].map((op) => [op, linear]),
  ),
  ...Object.fromEntries(['Add', 'Sub', 'Sum', 'Max', 'Min', 'Mean', 'Concat'].map((op) => [op, sum])),
  ...Object.fromEntries(
    ['Mul', 'MatMul', 'Gemm', 'Conv', 'ConvTranspose', 'com.microsoft:FusedMatMul'].map((op) => [op, product]),
  ),
  ...Object.fromEntries(
    ['Equal', 'Greater', 'Less', 'GreaterOrEqual', 'LessOrEqual'].map((op) => [op, together(floatInputs, () => 0)]),
  ),
  ...Object.fromEntries(
    [
      ...['LayerNormalization', 'SimplifiedLayerNormalization', 'RMSNormalization', 'InstanceNormalization'],
      ...['GroupNormalization', 'com.microsoft:GroupNorm', 'LpNormalization'],
    ].map((op) => [op, norm]),
  ),
  ...Object.fromEntries(['ArgMax', 'ArgMin', 'Sign', 'IsNaN', 'Shape', 'Size'].map((op) => [op, invariant])),
  Where: together(
    () => [1, 2],
    (exponent) => exponent,
  ),
  Div: quotient,
  Pow: pow,
  Sqrt: (balance) => power(0.5, balance),
  Reciprocal: (balance) => (balance.isFixed ? plain(balance) : settleReciprocal(balance)),
  ReduceSumSquare: (balance) => power(2, balance),
  BatchNormalization: batchNorm,
  'com.microsoft:SkipLayerNormalization': skipNorm([0, 1, 4]),
  'com.microsoft:SkipSimplifiedLayerNormalization': skipNorm([0, 1, 3]),
}

function settleReciprocal(balance: Balance): number {
  const natural = -balance.stored(0)
  if (settle(balance, natural) === natural) return natural
  balance.read(0, -balance.goal)
  return balance.goal
}

/** The rule of an operator; one that is not known asks for the numbers themselves. */
export function ruleOf(node: Node): BalanceRule {
  if (node.subgraphs.length || !Object.hasOwn(RULES, node.qualifiedType)) return plain
  return RULES[node.qualifiedType]!
}
