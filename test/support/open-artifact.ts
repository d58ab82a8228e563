import { pathToFileURL } from 'node:url'
import { resolveRequest } from '../../src/options/index.ts'
import { type Artifact, createPipeline } from '../../src/pipeline/index.ts'
import { adapters, defineModel, externalAdapters } from '../../src/runtime/node.ts'
import type { Model } from '../../src/runtime/types.ts'
import { temporaryFolder } from './temporary.ts'

/** Builds a model with the options of a query, in a cache of its own. */
export async function buildArtifact(file: string, query: string): Promise<Artifact> {
  const root = temporaryFolder()
  const [options] = resolveRequest({ query, file, root }).targets
  const pipeline = createPipeline({ root, workers: false })
  try {
    return await pipeline.build({ file, options: options! })
  } finally {
    await pipeline.close()
  }
}

/** What an import of the model would give in Node. */
export function modelOf({ model, external, info, adapters: files }: Artifact): Model {
  const urlOf = (file: string) => pathToFileURL(file).href
  const list = files.map(({ adapter, file, bytes, tensors }) => ({
    name: adapter,
    url: urlOf(file),
    bytes,
    tensors: tensors.map(({ offset, dims }) => [offset, ...dims]),
  }))
  const location = files[0]?.location
  const set = location === undefined ? adapters(info.adapterInputs ?? [], list) : externalAdapters(location, list)
  return defineModel([
    {
      target: 'cpu',
      device: 'cpu',
      info,
      bytes: model.bytes,
      url: urlOf(model.file),
      ort: () => import('onnxruntime-node'),
      external: external.map(({ name, bytes, file }) => ({ path: name, bytes, url: urlOf(file) })),
      ...(files.length ? { adapters: set } : {}),
    },
  ])
}
