import { DEVICES } from '../options/general.ts'
import type { Command } from './command.ts'
import { inputFlags } from './sizes.ts'

const json = { type: 'boolean', doc: 'Print the result as JSON' } as const
const root = { type: 'string', doc: 'Project folder; default is the current one', placeholder: 'dir' } as const
const config = {
  type: 'string',
  doc: "Module or JSON file with the plugin's options (targets, models, presets, cache); default `onnx.config.json`, `.js`, `.mjs`, `.ts` or `.mts` in the project folder",
  placeholder: 'file',
} as const

/** All commands, in the order of the help. */
export const commands: readonly Command[] = [
  {
    name: 'build',
    summary: 'Optimize models and write them',
    operands: { usage: 'MODEL...', min: 1, max: Number.POSITIVE_INFINITY },
    flags: {
      out: {
        type: 'string',
        doc: 'Folder for the results (with one MODEL also a file name.onnx); default `optimized`',
        placeholder: 'dir',
      },
      query: {
        type: 'string',
        doc: 'Options as an import would have them, e.g. `quantize=dynamic&per_channel`',
        placeholder: 'text',
      },
      emit: {
        type: 'enum',
        doc: 'Layout of the results: files under their own names, or a Hugging Face repository: `onnx/model_q4f16.onnx` and the configuration beside the model',
        values: ['files', 'huggingface'],
        default: 'files',
      },
      config,
      root,
      cache: { type: 'boolean', doc: 'Use and fill the cache; `--no-cache` builds anew', default: true },
      json,
    },
    takesParams: true,
    examples: [
      'build bert.onnx --dtype q8 -o dist/models',
      'build model.onnx --dtype q4f16 --emit huggingface -o my-model',
      "build 'models/**/*.onnx' --query 'quantize=dynamic&per_channel' --json",
    ],
    load: () => import('./build.ts'),
  },
  {
    name: 'inspect',
    summary: 'Show what is in a model',
    operands: { usage: 'MODEL', min: 1, max: 1 },
    flags: {
      top: { type: 'integer', doc: 'How many of the largest tensors to list', min: 0, default: 10 },
      lint: {
        type: 'enum',
        doc: 'Also list what slows the model down on this target',
        values: ['webgpu', 'webnn', 'cuda', 'tensorrt', 'dml', 'coreml', 'qnn'],
      },
      explain: {
        type: 'boolean',
        doc: 'Also tell what `fuse=auto` would fuse, and what stopped each rule elsewhere',
      },
      device: { type: 'enum', doc: 'With --explain: device to fuse for', values: Object.keys(DEVICES), default: 'cpu' },
      error: {
        type: 'string',
        doc: 'Also compare this quantized MODEL with the float model it was made from: errors of activations and weights, layers by the noise they add',
        placeholder: 'float.onnx',
      },
      ...inputFlags,
      samples: { type: 'integer', doc: 'error: how many inputs to make, or to take at most', min: 1, default: 4 },
      seed: { type: 'integer', doc: 'error: other made-up inputs for every seed', min: 0, default: 0 },
      json,
    },
    takesParams: false,
    examples: [
      'inspect bert-int8.onnx --error bert.onnx --inputs samples.npz',
      'inspect bert.onnx',
      'inspect bert.onnx --lint webgpu --json',
      'inspect bert.onnx --explain',
    ],
    load: () => import('./inspect.ts'),
  },
  {
    name: 'compare',
    summary: 'Run two models on the same inputs and compare what they give',
    operands: { usage: 'REFERENCE CANDIDATE', min: 2, max: 2 },
    flags: {
      ...inputFlags,
      samples: { type: 'integer', doc: 'How many inputs to make, or to take at most', min: 1, default: 4 },
      seed: { type: 'integer', doc: 'Other made-up inputs for every seed', min: 0, default: 0 },
      saveInputs: {
        type: 'string',
        doc: 'Folder to write the inputs to, as test_data_set_N/input_0.pb ...',
        placeholder: 'dir',
      },
      rtol: { type: 'number', doc: 'Elements must be within atol + rtol * |reference|; default 1e-3', min: 0 },
      atol: { type: 'number', doc: 'See rtol; default 1e-4', min: 0 },
      cosine: {
        type: 'number',
        doc: 'Lowest cosine of an output; given alone, it is the only bar',
        min: -1,
        max: 1,
      },
      intermediates: { type: 'boolean', doc: 'Compare the values inside that both models have, too' },
      rounded: {
        type: 'boolean',
        doc: 'Compute as GPUs do: round every result in float16 (CPUs keep float32 between many operators, which hides overflows), and spell out operators that only GPUs have',
      },
      provider: {
        type: 'string',
        doc: 'Execution provider of both, e.g. `cuda`; default is the CPU',
        placeholder: 'name',
      },
      runs: { type: 'integer', doc: 'Runs to time each model with, turn by turn; 0: none', min: 0, default: 15 },
      json,
    },
    takesParams: false,
    examples: [
      'compare bert.onnx optimized/bert.onnx',
      'compare bert.onnx bert-fp16.onnx --inputs samples.npz --cosine 0.999 --intermediates',
    ],
    load: () => import('./compare.ts'),
  },
  {
    name: 'bench',
    summary: 'Measure latency, throughput and memory of models, turn by turn',
    operands: { usage: 'MODEL...', min: 1, max: Number.POSITIVE_INFINITY },
    flags: {
      ...inputFlags,
      runs: { type: 'integer', doc: 'Timed rounds', min: 1, default: 30 },
      warmUp: { type: 'integer', doc: 'Runs before the first that is timed', min: 0, default: 5 },
      threads: {
        type: 'integer',
        doc: 'Threads of one operator; 0: as many as the machine has cores',
        min: 0,
        default: 0,
      },
      level: {
        type: 'enum',
        doc: 'How far ONNX Runtime optimizes when it loads the model',
        values: ['disabled', 'basic', 'extended', 'all'],
        default: 'all',
      },
      browser: {
        type: 'list',
        doc: 'Run in headless Chromium too, with these: `wasm`, `webgpu`. Needs playwright-core and onnxruntime-web',
        values: ['wasm', 'webgpu'],
        placeholder: 'device',
      },
      json,
    },
    takesParams: false,
    examples: [
      'bench bert.onnx optimized/bert.onnx --dim batch:1,sequence:128',
      'bench bert.onnx --inputs samples.npz --threads 1 --browser wasm,webgpu --json',
    ],
    load: () => import('./bench.ts'),
  },
  {
    name: 'tune',
    summary: 'Find session options with which a model runs faster on this machine',
    operands: { usage: 'MODEL', min: 1, max: 1 },
    flags: {
      target: {
        type: 'string',
        doc: 'Target (or device) that the options are for',
        placeholder: 'name',
        default: 'cpu',
      },
      out: {
        type: 'string',
        doc: 'File to write; default `MODEL.session.json`, which imports of the model use',
        placeholder: 'file',
      },
      ...inputFlags,
      providers: { type: 'list', doc: 'Execution providers to try besides the CPU', placeholder: 'name' },
      threads: {
        type: 'list',
        doc: 'Threads of one operator to try; default: powers of two up to the number of cores, then those between',
        placeholder: 'n',
      },
      interThreads: {
        type: 'list',
        doc: 'Operators at a time to try in the parallel mode; default: powers of two up to the number of cores',
        placeholder: 'n',
      },
      runs: { type: 'integer', doc: 'Timed rounds of each choice', min: 6, default: 20 },
      margin: { type: 'number', doc: 'By how many percent a choice must be faster to be taken', min: 0, default: 2 },
      json,
    },
    takesParams: false,
    examples: ['tune bert.onnx', 'tune bert.onnx --target server --inputs samples.npz'],
    load: () => import('./tune.ts'),
  },
  {
    name: 'calibrate',
    summary: 'Find the ranges of activations for static quantization, to use again with --ranges',
    operands: { usage: 'MODEL', min: 1, max: 1 },
    flags: {
      out: {
        type: 'string',
        doc: 'File to write; default `MODEL.ranges.json`. With the end `.cache` or `.flatbuffers` a table of the unchanged model for TensorRT',
        placeholder: 'file',
      },
      format: {
        type: 'enum',
        doc: 'Ranges to use again; or a table of the unchanged model for TensorRT, as lines, FlatBuffers, or the JSON of the Python tools. Default: by the end of the name',
        values: ['ranges', 'cache', 'flatbuffers', 'json'],
      },
      config,
      root,
      json,
    },
    takesParams: true,
    examples: [
      'calibrate model.onnx --calibration data.npz',
      'calibrate model.onnx --calibration data.npz --calibration-method entropy -o calibration.cache',
    ],
    load: () => import('./calibrate.ts'),
  },
  {
    name: 'sync',
    summary: 'Write the types of all models that the sources import',
    operands: { usage: '[GLOB...]', min: 0, max: Number.POSITIVE_INFINITY },
    flags: {
      dts: {
        type: 'string',
        doc: 'File to write; default `onnx-models.d.ts` in the project folder',
        placeholder: 'file',
      },
      check: { type: 'boolean', doc: 'Write nothing; fail if the file is not up to date' },
      config,
      root,
      json,
    },
    takesParams: false,
    examples: ['sync', "sync 'app/**/*.ts' --dts types/onnx-models.d.ts"],
    load: () => import('./sync.ts'),
  },
  {
    name: 'adapters',
    summary:
      'Convert a LoRA, DoRA or LoHa adapter that PEFT saved, or a file of another format, into one for `adapter_files`; list what is in one',
    operands: { usage: 'export|ls FOLDER|FILE', min: 2, max: 2 },
    flags: {
      out: {
        type: 'string',
        doc: 'export: file to write; its end (.onnx_adapter, .safetensors, .npz) tells the format',
        placeholder: 'file',
      },
      precision: {
        type: 'enum',
        doc: 'export: element type of the weights; float32 for what PEFT saved, that of the file otherwise',
        values: ['float32', 'float16'],
      },
      json,
    },
    takesParams: false,
    examples: ['adapters export sql-lora/ -o models/sql.onnx_adapter', 'adapters ls models/sql.onnx_adapter'],
    load: () => import('./adapters.ts'),
  },
  {
    name: 'cache',
    summary: 'List, prune or clear the cache',
    operands: { usage: 'ls|prune|clear', min: 1, max: 1 },
    flags: {
      dir: { type: 'string', doc: "Folder of the cache; default is the project's", placeholder: 'dir' },
      maxAgeDays: { type: 'number', doc: 'prune: remove what was not used for this many days', min: 0 },
      maxBytes: { type: 'integer', doc: 'prune: keep at most this many bytes, the latest used', min: 0 },
      config,
      root,
      json,
    },
    takesParams: false,
    examples: ['cache ls', 'cache prune --max-age-days 7', 'cache clear'],
    load: () => import('./cache.ts'),
  },
]
