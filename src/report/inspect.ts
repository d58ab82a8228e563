import { stat } from 'node:fs/promises'
import { readModel } from '../graph/import.ts'
import type { Model } from '../graph/model.ts'
import type { Tensor } from '../graph/tensor.ts'
import { externalTensorFiles } from '../pipeline/external-tensors.ts'
import { modelInfo } from '../pipeline/info.ts'
import type { ModelInfo } from '../pipeline/types.ts'

/** One constant tensor of a model. */
export interface TensorSummary {
  name: string
  dtype: string
  shape: number[]
  bytes: number
  /** True if the data lies in a file beside the model. */
  external: boolean
}

/** What is in a model, as plain JSON. */
export interface Inspection extends ModelInfo {
  file: string
  /** Size of the model file and its data files. */
  bytes: number
  external: { location: string; bytes: number }[]
  nodes: number
  /** Graphs inside of If, Loop and Scan nodes. */
  subgraphs: number
  /** Functions that the model defines. */
  functions: string[]
  /** Number of weights (elements of constant tensors), main graph and subgraphs. */
  parameters: number
  /** Constant tensors by element type, largest first. */
  weights: { dtype: string; tensors: number; elements: number; bytes: number }[]
  /** The largest constant tensors, largest first. */
  largest: TensorSummary[]
}

/**
 * Reads what is in a model. Weights stay in the file.
 *
 * @param file path of the model
 * @param top how many of the largest tensors to list
 * @throws OnnxError if it is no valid model
 */
export async function inspectModel(file: string, { top = 10 }: { top?: number } = {}): Promise<Inspection> {
  const model = readModel(file)
  const external = await Promise.all(
    externalTensorFiles(file).map(async ({ location, path }) => ({ location, bytes: (await stat(path)).size })),
  )
  const tensors = constants(model)
  const byDtype = new Map<string, Tensor[]>()
  for (const { tensor } of tensors) {
    const group = byDtype.get(dtypeName(tensor))
    if (group) group.push(tensor)
    else byDtype.set(dtypeName(tensor), [tensor])
  }
  const graphs = [...model.graph.allGraphs()]
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
  return {
    file,
    bytes: (await stat(file)).size + sum(external.map(({ bytes }) => bytes)),
    external,
    ...modelInfo(model),
    nodes: sum(graphs.map(({ nodeCount }) => nodeCount)),
    subgraphs: graphs.length - 1,
    functions: model.functions.map(({ domain, name }) => (domain ? `${domain}:${name}` : name)),
    parameters: sum(tensors.map(({ tensor }) => tensor.elementCount)),
    weights: [...byDtype]
      .map(([dtype, group]) => ({
        dtype,
        tensors: group.length,
        elements: sum(group.map((tensor) => tensor.elementCount)),
        bytes: sum(group.map((tensor) => tensor.byteLength)),
      }))
      .sort((a, b) => b.bytes - a.bytes || (a.dtype < b.dtype ? -1 : 1)),
    largest: tensors
      .map(({ name, tensor }) => ({
        name,
        dtype: dtypeName(tensor),
        shape: [...tensor.dims],
        bytes: tensor.byteLength,
        external: tensor.isExternal,
      }))
      .sort((a, b) => b.bytes - a.bytes || (a.name < b.name ? -1 : 1))
      .slice(0, top),
  }
}

/** Initializers and outputs of Constant nodes of all graphs. */
function constants(model: Model): { name: string; tensor: Tensor }[] {
  return [...model.allGraphs()].flatMap((graph) => [
    ...[...graph.initializers].flatMap(({ name, tensor }) => (tensor ? [{ name, tensor }] : [])),
    ...[...graph.nodes()].flatMap((node) => {
      const value = node.opType === 'Constant' && node.domain === '' ? node.outputs[0] : undefined
      const tensor = value?.constant
      return value && tensor ? [{ name: value.name, tensor }] : []
    }),
  ])
}

function dtypeName(tensor: Tensor): string {
  return tensor.dtype ?? `type ${tensor.code}`
}
