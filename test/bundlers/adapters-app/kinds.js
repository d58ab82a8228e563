import doraExternal from './dora.onnx?adapters=external&adapter_files=other:dora-other.npz'
import doraInputs from './dora.onnx?adapters=inputs&adapter_files=other:dora-other.npz'
import lohaExternal from './loha.onnx?adapters=external&adapter_files=other:loha-other.npz'
import lohaInputs from './loha.onnx?adapters=inputs&pack&adapter_files=other:loha-other.npz'

const models = { dora: [doraInputs, doraExternal], loha: [lohaInputs, lohaExternal] }

/** Outputs without adapter, with the model's own, and with the other, for each way to build a model. */
export async function answers(x) {
  const results = {}
  for (const [kind, ways] of Object.entries(models)) {
    results[kind] = []
    for (const model of ways) {
      const session = await model()
      const outputs = []
      for (const name of [undefined, 'default', 'other']) {
        const [y] = Object.values(await (await session.withAdapter(name)).run({ x: Float32Array.from(x[kind]) }))
        outputs.push([...y.data])
      }
      await session.dispose()
      results[kind].push(outputs)
    }
  }
  return results
}

globalThis.answers = answers
