import { modelToProto } from '../../graph/export.ts'
import type { Graph } from '../../graph/graph.ts'
import type { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import { type Dim, typeToProto, type ValueType } from '../../graph/types.ts'
import type { Value } from '../../graph/value.ts'
import { DTYPES, type DType } from '../../onnx/dtypes.ts'
import { encodeToBytes } from '../../onnx/encode.ts'
import { OnnxError } from '../../onnx/errors.ts'
import type { GraphProto, ModelProto, TypeProto } from '../../onnx/proto.ts'
import { refusedOperator } from '../refused.ts'
import { openSession } from '../session.ts'
import { bodiesOf } from './part.ts'
import { isFollowed, PIECE, type Piece, piecesOf } from './pieces.ts'
import { findScalars } from './scalars.ts'
import { skeletonOf } from './skeleton.ts'

export interface TypingOptions {
  /** `false` saves telling scalars from values of unknown rank, for passes that need no shapes. */
  scalars?: boolean
  /** Number of nodes that ONNX Runtime is asked about at a time. */
  piece?: number
}

/** What typing could not do. */
export interface TypingReport {
  /** Operators that ONNX Runtime does not know or has no kernel for; their outputs keep the types that the file states. */
  unknown: string[]
}

/**
 * Finds the type of every value with ONNX Runtime's own inference: a copy of the graph without weights, in which every value
 * is an output, is opened with optimization disabled, and the reported output types are put into `Value.type`. Values that
 * ONNX Runtime says nothing about keep the type that the file states. Costs milliseconds and no arithmetic. Large graphs are
 * asked for in pieces.
 */
export async function inferTypes(
  model: Model,
  { scalars = true, piece = PIECE }: TypingOptions = {},
): Promise<TypingReport> {
  const unknown = new Set<string>()
  const proto = modelToProto(model)
  await inferGraph(model.graph, proto.graph!, { model: proto, unknown, scalars, piece })
  return { unknown: [...unknown].sort() }
}

/** What is the same for all graphs of a model. */
interface Question {
  model: ModelProto
  unknown: Set<string>
  scalars: boolean
  piece: number
}

async function inferGraph(graph: Graph, wire: GraphProto, question: Question): Promise<void> {
  const skipped = new Set<Node>()
  for (let attempt = 0; attempt < 50; attempt++) {
    const skeleton = skeletonOf(graph, wire, skipped)
    if (!skeleton) break
    try {
      const learnt = new Map<string, TypeProto>()
      for (const piece of piecesOf(skeleton, learnt, question.piece)) await ask(piece, learnt, question)
      break
    } catch (error) {
      if (!(error instanceof OnnxError) || !skip(graph, error.message, skipped, question.unknown)) break
    }
  }
  const wires = new Map((wire.node ?? []).map((node) => [node.output?.[0], node]))
  for (const node of graph.nodes()) {
    const graphs = node.subgraphs
    if (!graphs.length) continue
    bindBodyInputs(node)
    const at = wires.get(node.outputs[0]?.name)
    for (const [i, bodyWire] of (at ? bodiesOf(at) : []).entries()) await inferGraph(graphs[i]!, bodyWire, question)
  }
}

/** Asks for the types of a piece, and puts what is reported of values that later pieces may be given into `learnt`. */
async function ask(piece: Piece, learnt: Map<string, TypeProto>, { model, scalars }: Question): Promise<void> {
  const bytes = encodeToBytes({ ...model, graph: piece.graph, metadataProps: [], trainingInfo: [] })
  const session = await openSession(bytes, { intraOpNumThreads: 1, interOpNumThreads: 1 })
  const unranked: Value[] = []
  // Later pieces are told what ONNX Runtime found, as if they had been asked for together, and not what the file states.
  const learn = (value: Value, type: ValueType): void => {
    if (value.dtype! in DTYPES) learnt.set(value.name, typeToProto(type))
  }
  for (const output of session.outputs) {
    const value = piece.outputs.get(output.name)
    if (!value || !output.isTensor) continue
    const type = typeOf(output.type as DType, output.shape)
    value.type = merged(value, type)
    if (!type.shape.length) unranked.push(value)
    else if (piece.handedOn.size) learn(value, type)
  }
  await session.release()
  const isHandedOn = (value: Value): boolean => piece.handedOn.has(value.name) && !isFollowed(value.producer!)
  const ambiguous = new Set(unranked.filter((value) => !value.shape && (scalars || isHandedOn(value))))
  const found = new Set(await findScalars([...ambiguous], piece, model))
  for (const value of piece.handedOn.size ? unranked : []) {
    const { dtype, shape } = value
    if (found.has(value) || shape?.length === 0) learn(value, { kind: 'tensor', dtype, shape: [] })
    else if (shape || ambiguous.has(value)) learn(value, { kind: 'tensor', dtype })
  }
  if (scalars) for (const value of found) value.type = { kind: 'tensor', dtype: value.dtype, shape: [] }
}

interface ReportedType {
  kind: 'tensor'
  dtype: DType
  /** Empty for scalars and where not even the rank is known. */
  shape: readonly Dim[]
}

function typeOf(dtype: DType, shape: readonly (number | string)[]): ReportedType {
  return {
    kind: 'tensor',
    dtype,
    shape: shape.map((dim) => (typeof dim === 'number' ? (dim < 0 ? null : dim) : dim || null)),
  }
}

/** Keeps what is already known where ONNX Runtime knows less. */
function merged(value: Value, { kind, dtype, shape }: ReportedType): ValueType {
  const known = value.shape
  // A value known to have a rank keeps its shape.
  if (shape.length === 0 && known?.length !== 0) return { kind, dtype, shape: known }
  if (known?.length === shape.length) return { kind, dtype, shape: shape.map((dim, i) => dim ?? known[i]!) }
  return { kind, dtype, shape }
}

/** ONNX Runtime names the operator, and often the node, that it can't handle. Marks such nodes; false if it names none. */
function skip(graph: Graph, message: string, skipped: Set<Node>, unknown: Set<string>): boolean {
  const before = skipped.size
  const named = /node (?:with name )?[('"]+([^'")]+)/i.exec(message)?.[1]
  const operator = refusedOperator(message)
  for (const node of graph.allNodes()) {
    if (node.opType !== operator && (operator || !named || node.name !== named)) continue
    unknown.add(node.qualifiedType)
    let top = node
    while (top.graph !== graph && top.graph.owner) top = top.graph.owner
    skipped.add(top)
  }
  return skipped.size > before
}

/** Gives the inputs of If, Loop and Scan bodies the types that the node's own inputs have. */
function bindBodyInputs(node: Node): void {
  for (const body of node.subgraphs) {
    const give = (index: number, type: ValueType | undefined): void => {
      const input = body.inputs[index]
      if (input && type && (!input.type || (input.type.kind === 'tensor' && !input.type.dtype))) input.type = type
    }
    if (node.is('Loop')) {
      give(0, { kind: 'tensor', dtype: 'int64', shape: [] })
      give(1, { kind: 'tensor', dtype: 'bool', shape: [] })
      // State may change its shape from one round to the next: only the element type is sure.
      for (let i = 2; i < node.inputCount; i++) {
        const type = node.input(i)?.type
        give(i, type?.kind === 'tensor' ? { kind: 'tensor', dtype: type.dtype } : type)
      }
    } else if (node.is('Scan')) {
      for (let i = 0; i < node.inputCount; i++) {
        const dtype = node.input(i)?.dtype
        if (dtype) give(i, { kind: 'tensor', dtype })
      }
    }
  }
}
