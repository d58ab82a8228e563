import model from './image.onnx?preprocess=image(batch:true)&postprocess=topK(1,labels:labels.txt)'

/** What an image of each of these files is, and of all at once. */
export async function answers(files) {
  const session = await model()
  const [first, all] = [await session.predict(files[0]), await session.predict(files)]
  await session.dispose()
  return [first[0].label, all.map(([{ label }]) => label)]
}
