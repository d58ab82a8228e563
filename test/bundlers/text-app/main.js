import model from './text.onnx?preprocess=tokens'

/** Ten times the token ids of a text, and what becomes of a token that is not there. */
export async function answers() {
  const session = await model()
  const { y } = await session.run('The cats')
  const failure = await session
    .run({ input_ids: [[99]], attention_mask: [[1]], token_type_ids: [[0]] })
    .catch((error) => error.code)
  await session.dispose()
  return [[...y.data], failure]
}

globalThis.answers = answers
