import sharp from 'sharp'
import digits from '../../fixtures/digits-cnn.onnx?preprocess=image&postprocess=topK(1,labels:../examples/image-label/labels.txt)'
import { digits as drawings } from '../digits.js'

// The bytes of a file, as an upload or a disk gives them: here a PNG of 120 x 120 pixels, white on black.
const pixels = Uint8Array.from(drawings[4] ?? [], (pixel) => (pixel / 16) * 255)
const file = await sharp(pixels, { raw: { width: 8, height: 8, channels: 1 } })
  .resize(120, 120)
  .png()
  .toBuffer()

const session = await digits()
const [best] = await session.predict(file)
console.log(`this is a ${best?.label}, by ${Math.round((best?.score ?? 0) * 100)} %`)
