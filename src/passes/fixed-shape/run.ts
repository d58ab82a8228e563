import type { Model } from '../../graph/model.ts'
import type { Dim, ValueType } from '../../graph/types.ts'
import type { Value } from '../../graph/value.ts'
import { OnnxError } from '../../onnx/errors.ts'
import { nearest } from '../../params/nearest.ts'
import type { ParamOutput } from '../../params/spec.ts'
import type { PassContext, PassResult } from '../pass.ts'
import { readArguments } from './arguments.ts'
import type { fixedShape } from './index.ts'

/** Puts fixed sizes in the place of dynamic dimensions, then updates the shapes that follow from them. */
export async function run(
  model: Model,
  options: ParamOutput<(typeof fixedShape)['params']>,
  { ort }: Pick<PassContext, 'ort'>,
): Promise<PassResult> {
  const { shapes, dimensions } = readArguments(options)
  checkDimensions(model, dimensions)
  const sizes = new Map(dimensions)
  let changes = 0
  for (const [name, shape] of shapes) changes += fixInput(model, name, shape, sizes)
  changes += fixNames(model, sizes)
  if (changes) await propagate(model, () => ort.inferTypes(model))
  return { changes, data: Object.fromEntries(sizes) }
}

/** Inputs that callers feed. */
function inputsOf(model: Model): Value[] {
  return model.graph.inputs.filter((value) => !value.tensor || model.initializersAreOverridable)
}

function checkDimensions(model: Model, dimensions: ReadonlyMap<string, number>): void {
  const known = new Set<string>()
  for (const value of typedValues(model)) eachDim(value.type, (dim) => typeof dim === 'string' && known.add(dim))
  for (const name of dimensions.keys())
    if (!known.has(name))
      throw new OnnxError('SHAPE_INVALID', `the model has no dimension "${name}"`, {
        place: { file: model.file },
        hint: suggest(name, known, 'The model has no named dimensions: use `shape` instead.', 'Its dynamic dimensions'),
      })
}

/** Fixes one input's shape; sizes of named dimensions go to `sizes`. Returns how many unnamed dimensions were fixed. */
function fixInput(model: Model, name: string, shape: readonly number[], sizes: Map<string, number>): number {
  const place = { file: model.file }
  const inputs = inputsOf(model)
  const input = inputs.find((value) => value.name === name)
  const names = inputs.map((value) => value.name)
  if (!input)
    throw new OnnxError('SHAPE_INVALID', `the model has no input "${name}"`, {
      place,
      hint: suggest(name, names, 'It has no inputs at all.', 'Its inputs'),
    })
  const { type } = input
  if (type && type.kind !== 'tensor')
    throw new OnnxError('SHAPE_INVALID', `the input "${name}" is a ${type.kind} and has no shape`, { place })
  const stated = type?.shape ?? shape.map(() => null)
  const text = (dims: readonly Dim[]): string => dims.map((dim) => dim ?? '?').join('x') || 'a scalar'
  if (stated.length !== shape.length)
    throw new OnnxError('SHAPE_INVALID', `the input "${name}" is ${text(stated)}, which ${text(shape)} does not fit`, {
      place,
      hint: `Give ${stated.length} dimensions, not ${shape.length}.`,
    })
  let changes = 0
  const dims = stated.map((dim, i): Dim => {
    const size = shape[i]!
    if (typeof dim === 'string') {
      const earlier = sizes.get(dim)
      if (earlier !== undefined && earlier !== size)
        throw new OnnxError('SHAPE_INVALID', `the dimension "${dim}" would be ${earlier} and ${size} at once`, {
          place,
          hint: `It occurs more than once in the inputs: give it the same size everywhere.`,
        })
      sizes.set(dim, size)
      return dim
    }
    if (dim === null || dim <= 0) {
      changes++
      return size
    }
    if (dim !== size)
      throw new OnnxError(
        'SHAPE_INVALID',
        `dimension ${i} of the input "${name}" is fixed at ${dim} and can't become ${size}`,
        { place, hint: `The input is ${text(stated)}.` },
      )
    return dim
  })
  if (changes) input.type = { kind: 'tensor', dtype: type?.dtype, shape: dims }
  return changes
}

function suggest(name: string, known: Iterable<string>, none: string, these: string): string {
  const list = [...known]
  const near = nearest(name, list)
  return list.length ? `${near ? `Did you mean "${near}"? ` : ''}${these}: ${list.join(', ')}.` : none
}

/** Replaces names of dimensions by sizes in inputs, outputs and all stated types, subgraphs included. */
function fixNames(model: Model, sizes: ReadonlyMap<string, number>): number {
  let changes = 0
  for (const value of typedValues(model)) {
    let found = 0
    eachDim(value.type, (dim) => {
      if (typeof dim === 'string' && sizes.has(dim)) found++
    })
    if (!found) continue
    changes += found
    value.type = mapDims(value.type!, (dim) => (typeof dim === 'string' ? (sizes.get(dim) ?? dim) : dim))
  }
  return changes
}

/** Infers types anew, and fixes those dimensions of outputs and of stated types that follow from the inputs now. */
async function propagate(model: Model, infer: () => Promise<unknown>): Promise<void> {
  const stated = new Map([...typedValues(model)].map((value) => [value, value.type]))
  await infer()
  const isMine = (value: Value): boolean => value.isOutput || value.isDeclared || value.isInput
  for (const [value, type] of stated) {
    const inferred = value.type
    if (type?.kind !== 'tensor' || inferred?.kind !== 'tensor' || !isMine(value)) continue
    const shape = type.shape ?? (inferred.shape?.every((dim) => typeof dim === 'number') ? inferred.shape : undefined)
    const fits = inferred.shape?.length === shape?.length
    value.type = {
      kind: 'tensor',
      dtype: type.dtype ?? inferred.dtype,
      shape: shape?.map((dim, i) => {
        const better = inferred.shape?.[i]
        return typeof dim !== 'number' && fits && typeof better === 'number' ? better : dim
      }),
    }
  }
}

function* typedValues(model: Model): Generator<Value> {
  for (const graph of model.allGraphs()) {
    yield* graph.inputs
    for (const node of graph.nodes()) for (const value of node.outputs) if (value) yield value
  }
}

function eachDim(type: ValueType | undefined, visit: (dim: Dim) => void): void {
  if (type)
    mapDims(type, (dim) => {
      visit(dim)
      return dim
    })
}

function mapDims(type: ValueType, map: (dim: Dim) => Dim): ValueType {
  switch (type.kind) {
    case 'tensor':
    case 'sparse':
      return type.shape ? { ...type, shape: type.shape.map(map) } : type
    case 'sequence':
    case 'optional':
      return { ...type, element: type.element && mapDims(type.element, map) }
    case 'map':
      return { ...type, value: type.value && mapDims(type.value, map) }
    default:
      return type
  }
}
