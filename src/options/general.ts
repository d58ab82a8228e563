/** Where a model can run, and whether that place is a browser (or a runtime built for one) or Node. */
export const DEVICES = {
  cpu: 'server',
  cuda: 'server',
  tensorrt: 'server',
  dml: 'server',
  coreml: 'server',
  qnn: 'server',
  wasm: 'client',
  webgpu: 'client',
  webnn: 'client',
} as const

export type Device = keyof typeof DEVICES

/** Parameters that belong to no pass and may stand everywhere, in a target too. */
export const generalParams = {
  device: {
    type: 'enum',
    doc: 'Execution device of the target: decides which operators may be emitted and which runtime the wrapper imports',
    values: ['cpu', 'cuda', 'tensorrt', 'dml', 'coreml', 'qnn', 'wasm', 'webgpu', 'webnn'],
  },
  dtype: {
    type: 'enum',
    doc: 'Precision by the names and recipes of Hugging Face; sets the parameters of the passes that do it',
    values: ['fp32', 'fp16', 'q8', 'int8', 'uint8', 'q4', 'q4f16', 'bnb4'],
  },
  preset: {
    type: 'list',
    doc: 'Bundles of parameters by name: a CPU preset (`arm64`, `avx2`, `avx512`, `avx512_vnni`, `auto`), static quantization for an accelerator (`tensorrt`, `qnn`, `nnapi`, `webnn`), float16 for `coreml`, or one of `presets`',
    placeholder: 'name',
  },
  optLevel: {
    type: 'integer',
    doc: 'Levels of ONNX Runtime by number, as the Python optimizer has them: 0 is `optimize=clean`, 1 `basic`, 2 `extended`, 99 `all`',
    min: 0,
    max: 99,
  },
  onlyOnnxruntime: {
    type: 'boolean',
    doc: "ONNX Runtime's optimizer alone, without the fusions of this package, whatever `fuse` says; `optimize=extended` unless a level is given",
  },
  providerOptions: {
    type: 'map',
    doc: "Options of the device's execution provider, e.g. `deviceId:1` for cuda, `preferredLayout:NHWC` for webgpu; checked against what it takes",
    placeholder: 'name:value',
    presentation: true,
  },
  threads: {
    type: 'integer',
    doc: 'Threads of a session within one operator; in browsers more than one needs a cross-origin isolated page',
    min: 1,
    presentation: true,
  },
  memoryArena: {
    type: 'boolean',
    doc: 'Memory arena of the session: off saves memory, on saves time',
    presentation: true,
  },
  graphLevel: {
    type: 'enum',
    doc: 'Optimization when the session is created',
    values: ['disabled', 'basic', 'extended', 'layout', 'all'],
    presentation: true,
  },
  executionMode: {
    type: 'enum',
    doc: 'Whether independent operators may run at the same time',
    values: ['sequential', 'parallel'],
    presentation: true,
  },
  freeDims: {
    type: 'map',
    doc: 'Sizes that the session gives named dynamic dimensions (browsers only; `dim` fixes them in the model, everywhere)',
    placeholder: 'name:128',
    presentation: true,
  },
  sessionPreset: {
    type: 'string',
    doc: 'File of session options by target or device, as `tune` writes it, relative to the root; default `MODEL.session.json` where it is there',
    placeholder: 'file',
    presentation: true,
  },
} as const

/** What the import gives: no matter of targets. */
export const shapeParams = {
  as: {
    type: 'enum',
    doc: 'What the import gives: a typed session factory, the URL, the bytes, the file path (Node), or the model info alone',
    values: ['session', 'url', 'bytes', 'path', 'info'],
    default: 'session',
    presentation: true,
  },
} as const

/** Parameters that choose targets: legal in a query, on the command line and in `models`, not inside of a target. */
export const choiceParams = {
  target: { type: 'string', doc: 'Build for this target', placeholder: 'name' },
  targets: {
    type: 'list',
    doc: 'Build for several targets; the wrapper takes the first that the browser can run',
    placeholder: 'name',
  },
} as const
