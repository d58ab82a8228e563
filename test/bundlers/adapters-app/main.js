import model from './lora.onnx?adapters=inputs&adapter_files=other:other.safetensors'

/** One element of the output without adapter, with each, and without again, all at once. */
export async function answers() {
  const session = await model()
  globalThis.device = session.device
  const x = new Float32Array(8).fill(1)
  const views = await Promise.all(['default', 'other', undefined].map((name) => session.withAdapter(name)))
  const results = await Promise.all([session, ...views].map((view) => view.run({ x })))
  const failure = await session.withAdapter('none').catch((error) => error.code)
  await session.dispose()
  return [model.adapters.join(), ...results.map(({ y }) => y.data[5]), failure]
}

globalThis.answers = answers
