import { basename, extname, relative, resolve } from 'node:path'
import { OnnxError } from '../onnx/errors.ts'
import { cacheSettings, resolveRequest } from '../options/index.ts'
import { encodeTable, type Ranges, type TableFormat } from '../passes/quantize/calibrate/tables/index.ts'
import { createPipeline } from '../pipeline/index.ts'
import { noteLines } from '../report/index.ts'
import { EXIT, type Invocation, type Io } from './command.ts'
import { loadConfig } from './config.ts'
import { findModels } from './models.ts'
import { createProgress } from './progress.ts'
import { writeWhole } from './write-whole.ts'

/** For a table of the model as it is: every tensor that could be quantized, nothing moved between layers. */
const AS_IS = { optimize: 'none', smoothNorms: false, allOps: true, sparePairs: false, matmulConstOnly: false }

/** `calibrate`: the ranges that static quantization would use, as a file to use again. */
export async function run({ operands, flags, params }: Invocation, io: Io): Promise<number> {
  const root = resolve(io.cwd, (flags['root'] as string | undefined) ?? '.')
  const plugin = await loadConfig(flags['config'], io.cwd, root)
  const [file] = await findModels(operands, io.cwd)
  const out = resolve(io.cwd, (flags['out'] as string | undefined) ?? `${file}.ranges.json`)
  const format = formatOf(out, flags['format'] as 'ranges' | TableFormat | undefined)
  const isTable = format !== 'ranges'
  const query = { ...(isTable ? AS_IS : {}), ...params, quantize: 'static' }
  const [options] = resolveRequest({ plugin, query, file: file!, root, environment: { kind: 'server' } }).targets
  const progress = await createProgress(io, flags['json'] === true)
  const pipeline = createPipeline({
    root,
    cache: cacheSettings(plugin),
    onProgress: (state) => progress.update(state),
  })
  try {
    const { report } = await pipeline.build({ file: file!, options: options! })
    const data = report.passes.find(({ name }) => name === 'quantize-static')?.data as
      | { samples: number; ranges: Ranges }
      | undefined
    const ranges = data?.ranges ?? {}
    const count = Object.keys(ranges).length
    if (!data || !count)
      throw new OnnxError('NOTHING_CALIBRATED', 'the model has nothing that would be quantized', {
        place: { file: file! },
        hint:
          report.notes.find(({ code }) => code.startsWith('quantize/'))?.message ??
          'Check ops, nodes and their exclusions.',
      })
    await writeWhole(
      out,
      isTable ? encodeTable(format, ranges) : `${JSON.stringify({ model: basename(file!), ...pick(data) }, null, 1)}\n`,
    )
    for (const line of noteLines([report], 'warn')) io.err(`warning: ${line}`)
    if (flags['json']) io.out(JSON.stringify({ output: out, samples: data.samples, tensors: count }, undefined, 2))
    else io.out(`${relative(io.cwd, out)}: ranges of ${count} tensors from ${data.samples} samples`)
    return EXIT.ok
  } finally {
    progress.stop()
    await pipeline.close()
  }
}

function pick({ samples, ranges }: { samples: number; ranges: Ranges }): { samples: number; ranges: Ranges } {
  return { samples, ranges }
}

/** As asked for, else by the end of the file's name. */
function formatOf(out: string, asked: 'ranges' | TableFormat | undefined): 'ranges' | TableFormat {
  const end = extname(out)
  return asked ?? (end === '.cache' || end === '.flatbuffers' ? (end.slice(1) as TableFormat) : 'ranges')
}
