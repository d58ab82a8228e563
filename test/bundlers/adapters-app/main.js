import external from './lora.onnx?adapters=external&adapter_files=other:other.safetensors'
import inputs from './lora.onnx?adapters=inputs&adapter_files=other:other.safetensors'

/** One element of the output without adapter, with each, and without again, all at once; then of sessions that begin with one. */
export async function answers() {
  return [await answersOf(inputs), await answersOf(external)]
}

async function answersOf(model) {
  const session = await model()
  globalThis.device = session.device
  const x = new Float32Array(8).fill(1)
  const views = await Promise.all(['default', 'other', undefined].map((name) => session.withAdapter(name)))
  const results = await Promise.all([session, ...views].map((view) => view.run({ x })))
  const failure = await session.withAdapter('none').catch((error) => error.code)
  await views[1].dispose()
  const other = await model({ adapter: 'other' })
  const { y } = await other.run({ x })
  await other.dispose()
  const unknown = await model({ adapter: 'none' }).catch((error) => error.code)
  return [model.adapters.join(), ...results.map(({ y }) => y.data[5]), failure, other.adapter, y.data[0], unknown]
}

globalThis.answers = answers
