import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readAdapter } from '../../src/onnx/adapters/index.ts'
import { resolveRequest } from '../../src/options/index.ts'
import { type Artifact, createPipeline, deliver } from '../../src/pipeline/index.ts'
import type { Session } from '../../src/runtime/types.ts'
import { writeLoraModel } from '../support/lora-model.ts'
import { readTensors } from '../support/npz.ts'
import { modelOf } from '../support/open-artifact.ts'
import { hasShared, shared } from '../support/shared.ts'
import { temporaryFolder } from '../support/temporary.ts'

async function build(file: string, query: string): Promise<Artifact> {
  const folder = temporaryFolder()
  const [options] = resolveRequest({ query: `adapters=inputs&${query}`, file, root: folder }).targets
  const pipeline = createPipeline({ root: folder, workers: false })
  try {
    const artifact = await pipeline.build({ file, options: options! })
    const again = await pipeline.build({ file, options: options! })
    expect({ ...again, report: undefined }).toEqual({ ...artifact, report: undefined })
    expect(again.report.cache).toBe('hit')
    return artifact
  } finally {
    await pipeline.close()
  }
}

describe.skipIf(!hasShared).each(['tiny-lora', 'tiny-lora-llama'])('%s', (name) => {
  test.each([
    ['optimize=none', 1e-5],
    ['optimize=clean&fuse=auto', 1e-4],
    ['device=cpu&optimize=all', 1e-4],
    ['adapter_format=safetensors&verify', 1e-4],
    ['adapter_format=npz', 1e-4],
    ['pack', 1e-4],
    ['pack&dtype=fp16&keep_io_types=false', 0.02],
    ['pack&dtype=q8&fuse=none', 0.3],
    ['pack&quantize=static&calibration=NAME-inputs.npz', 0.5],
    ['pack&dtype=q4', 1.5],
    ['dtype=fp16&keep_io_types', 0.02],
    ['dtype=fp16&keep_io_types=false', 0.02],
    ['dtype=q8&fuse=none', 0.3],
    ['quantize=static&calibration=NAME-inputs.npz', 0.5],
    ['precision=mixed', 0.02],
    ['dtype=q4f16', 1.5],
    ['dtype=bnb4', 1.5],
    ['optimize=extended', 1e-4],
    // Most of the error is that of 4 bits in a small random model.
    ['dtype=q4', 1.5],
  ])('%s: with the adapter the original, without it something else', async (query, tolerance) => {
    const artifact = await build(shared(`own/${name}.onnx`), query.replace('NAME', name))
    const isPacked = query.startsWith('pack')
    expect(artifact.info.adapterInputs).toHaveLength(isPacked ? (name.endsWith('llama') ? 3 : 2) : 8)
    await using session = await modelOf(artifact)()
    const feeds = Object.fromEntries(
      [...readTensors(shared(`own/${name}-inputs.npz`))].map(([input, tensor]) => [
        input,
        { data: tensor.toNumbers(), dims: tensor.dims },
      ]),
    )
    const [output, expected] = [...readTensors(shared(`own/${name}-expected.npz`))][0]!
    const worst = async (view: Session) => {
      const found = (await view.run(feeds as never))[output]!.toFloat32()
      return Math.max(...expected.float32().map((value, i) => Math.abs(value - found[i]!)))
    }
    const [withAdapter, without] = [await worst(await session.withAdapter('default')), await worst(session)]
    expect(withAdapter).toBeLessThan(tolerance)
    expect(without).toBeGreaterThan(withAdapter)
  })
})

test('files hold what the info says, and are delivered beside the model', async () => {
  const folder = temporaryFolder()
  const artifact = await build(writeLoraModel(folder), 'adapter_files=other:other.safetensors&adapter_name=first')
  expect(artifact.info.inputs.map(({ name }) => name)).toEqual(['x'])
  expect(artifact.sources).toContain(join(folder, 'other.safetensors'))
  expect(artifact.adapters.map(({ name }) => name)).toEqual(['lora-first.onnx_adapter', 'lora-other.onnx_adapter'])
  const out = join(temporaryFolder(), 'small.onnx')
  const written = await deliver(artifact, out)
  expect(readdirSync(join(out, '..')).sort()).toEqual([
    'small-first.onnx_adapter',
    'small-other.onnx_adapter',
    'small.onnx',
  ])
  const weights = readAdapter(written[1]!)
  expect(weights.map(({ name, dims }) => [name, dims])).toEqual([
    ['proj.lora_A.weight', [8, 1]],
    ['proj.lora_B.weight', [1, 6]],
  ])
  for (const { file, tensors } of artifact.adapters) {
    const bytes = readFileSync(file)
    for (const [i, { data }] of readAdapter(file).entries())
      expect(bytes.subarray(tensors[i]!.offset, tensors[i]!.offset + data.length)).toEqual(Buffer.from(data))
  }
})
