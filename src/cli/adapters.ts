import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { adapterFormatOf, encodeAdapter } from '../onnx/adapters/index.ts'
import { OnnxError } from '../onnx/errors.ts'
import { readPeftFolder } from '../passes/adapters/peft.ts'
import { formatBytes } from '../report/index.ts'
import { EXIT, type Invocation, type Io } from './command.ts'

/** `adapters export FOLDER -o FILE`: a file for `adapter_files` out of what PEFT saved. */
export async function run({ operands, flags }: Invocation, io: Io): Promise<number> {
  const [action, folder] = operands as [string, string]
  if (action !== 'export') throw new OnnxError('USAGE', `\`adapters\` takes export, not '${action}'`)
  const out = flags['out'] as string | undefined
  const format = out && adapterFormatOf(out)
  if (!out || !format)
    throw new OnnxError('USAGE', out ? `'${out}' does not tell a file format` : 'where shall the adapter go?', {
      hint: 'Give a file with -o that ends with .onnx_adapter, .safetensors or .npz.',
    })
  const tensors = readPeftFolder(resolve(io.cwd, folder), flags['precision'] as 'float32' | 'float16')
  const { bytes } = encodeAdapter(format, tensors)
  const file = resolve(io.cwd, out)
  write(file, bytes)
  const weights = tensors.map(({ name, dtype, dims }) => ({ name, dtype, dims }))
  if (flags['json']) io.out(JSON.stringify({ file, bytes: bytes.length, weights }, undefined, 2))
  else io.out(`${out}: ${tensors.length} weights, ${formatBytes(bytes.length)}`)
  return EXIT.ok
}

/** The file appears whole or not at all. */
function write(file: string, bytes: Uint8Array): void {
  const temporary = `${file}.${process.pid}.tmp`
  try {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(temporary, bytes)
    renameSync(temporary, file)
  } catch (cause) {
    rmSync(temporary, { force: true })
    throw new OnnxError('OUTPUT_UNWRITABLE', `cannot write the adapter: ${(cause as Error).message}`, {
      place: { file },
      cause,
    })
  }
}
