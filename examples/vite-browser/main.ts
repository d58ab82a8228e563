import classifier from '../../fixtures/digits-vit.onnx?quantize=dynamic'
import { digits, labels } from '../digits.js'

const find = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T
const canvas = find<HTMLCanvasElement>('canvas')
const context = canvas.getContext('2d')!
const result = find<HTMLOutputElement>('result')
const pixels = new Float32Array(64)

// The model is fetched and started here, not when the module is imported.
const session = await classifier()
result.value = `ready: ${classifier.inputs.map(({ name }) => name).join(', ')} in, ${session.target}`

async function classify(): Promise<void> {
  for (const [i, value] of pixels.entries()) {
    context.fillStyle = `rgb(0 0 0 / ${value})`
    context.clearRect(i % 8, Math.floor(i / 8), 1, 1)
    context.fillRect(i % 8, Math.floor(i / 8), 1, 1)
  }
  const { logits } = await session.run({ pixel_values: pixels })
  result.value = `this is a ${labels(logits.data)[0]}`
}

function draw({ buttons, offsetX, offsetY }: PointerEvent): void {
  if (!buttons) return
  const [x, y] = [(offsetX / canvas.clientWidth) * 8, (offsetY / canvas.clientHeight) * 8]
  for (const i of pixels.keys()) {
    const distance = Math.hypot((i % 8) + 0.5 - x, Math.floor(i / 8) + 0.5 - y)
    pixels[i] = Math.max(pixels[i]!, Math.min(1, 1.4 - distance))
  }
  void classify()
}
canvas.addEventListener('pointerdown', draw)
canvas.addEventListener('pointermove', draw)
find('clear').addEventListener('click', () => {
  pixels.fill(0)
  void classify()
})

for (const [label, image] of digits.entries()) {
  const button = document.createElement('button')
  button.textContent = String(label)
  button.addEventListener('click', () => {
    pixels.set(image.map((pixel) => pixel / 16))
    void classify()
  })
  find('samples').append(' ', button)
}
