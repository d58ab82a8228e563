import { resolve } from 'node:path'
import { convertFloats } from '../graph/float-data.ts'
import { Tensor } from '../graph/tensor.ts'
import { type AdapterTensor, adapterFormatOf, encodeAdapter, readAdapter } from '../onnx/adapters/index.ts'
import { isFloat } from '../onnx/dtypes.ts'
import { OnnxError } from '../onnx/errors.ts'
import { peftFolder } from '../passes/adapters/index.ts'
import { readPeftFolder } from '../passes/adapters/peft.ts'
import { formatBytes } from '../report/index.ts'
import { columns } from './columns.ts'
import { EXIT, type Invocation, type Io } from './command.ts'
import { writeWhole } from './write-whole.ts'

type Precision = 'float32' | 'float16'

/** `adapters export FOLDER|FILE -o FILE`: a file for `adapter_files`. `adapters ls FOLDER|FILE`: what is in one. */
export async function run({ operands, flags }: Invocation, io: Io): Promise<number> {
  const [action, path] = operands as [string, string]
  if (action !== 'export' && action !== 'ls')
    throw new OnnxError('USAGE', `\`adapters\` takes export or ls, not '${action}'`)
  const out = flags['out'] as string | undefined
  const format = out ? adapterFormatOf(out) : undefined
  if (action === 'export' && !format)
    throw new OnnxError('USAGE', out ? `'${out}' does not tell a file format` : 'where shall the adapter go?', {
      hint: 'Give a file with -o that ends with .onnx_adapter, .safetensors or .npz.',
    })
  const tensors = read(resolve(io.cwd, path), flags['precision'] as Precision | undefined)
  const weights = tensors.map(({ name, dtype, dims }) => ({ name, dtype, dims }))
  if (action === 'ls') {
    const bytes = tensors.reduce((sum, { data }) => sum + data.length, 0)
    if (flags['json']) io.out(JSON.stringify({ file: resolve(io.cwd, path), bytes, weights }, undefined, 2))
    else {
      for (const line of columns(weights.map(({ name, dtype, dims }) => [name, `${dtype}[${dims.join(', ')}]`])))
        io.out(line)
      io.out(`${weights.length} weights, ${formatBytes(bytes)}`)
    }
    return EXIT.ok
  }
  const { bytes } = encodeAdapter(format!, tensors)
  const file = resolve(io.cwd, out!)
  await writeWhole(file, bytes)
  if (flags['json']) io.out(JSON.stringify({ file, bytes: bytes.length, weights }, undefined, 2))
  else io.out(`${out}: ${tensors.length} weights, ${formatBytes(bytes.length)}`)
  return EXIT.ok
}

/** The weights of an adapter file, or of what PEFT saved, which become float32 unless said otherwise. */
function read(path: string, precision: Precision | undefined): AdapterTensor[] {
  const folder = peftFolder(path)
  // What is neither is told as a folder that can't be read.
  if (folder !== undefined || !adapterFormatOf(path)) return readPeftFolder(folder ?? path, precision ?? 'float32')
  return readAdapter(path).map((tensor) => {
    const { name, dtype, dims, data } = tensor
    if (!precision || !isFloat(dtype) || dtype === precision) return tensor
    return { name, dtype: precision, dims, data: convertFloats(Tensor.of(dtype, dims, data), precision).bytes() }
  })
}
