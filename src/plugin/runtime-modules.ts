import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { OnnxError } from '../onnx/errors.ts'
import { MODEL_ID } from './id.ts'
import { findWebRuntime, webRuntimeMissing } from './onnxruntime-web.ts'

/** The folder of the built package, flat: the wrappers lie beside this module. */
const OWN_FOLDER = dirname(fileURLToPath(import.meta.url))

/** The library that models with text import. */
const TOKENIZERS = '@huggingface/tokenizers'

/** How a bundler gets the modules that generated code imports. */
export interface RuntimeModules {
  /** The wrapper comes from this package's own files, wherever the project keeps its packages. */
  ownWrapper: boolean
  /** ONNX Runtime for browsers comes as the build that loads its wasm from where it is told. */
  externWasm: boolean
  /** ONNX Runtime for Node stays an import of the output: it loads native code from its own package. */
  externalNode: boolean
}

/** Resolves what a generated module imports; undefined for everything that the bundler finds better on its own. */
export function runtimeModule(
  specifier: string,
  importer: string | undefined,
  modules: RuntimeModules,
  root: string,
): string | { id: string; external: true } | undefined {
  if (!importer) return undefined
  // Rollup alone knows nothing of Node's own modules.
  if (specifier.startsWith('node:'))
    return modules.externalNode && dirname(importer) === OWN_FOLDER ? { id: specifier, external: true } : undefined
  if (!MODEL_ID.test(importer)) return undefined
  const wrapper = /^unplugin-onnx\/runtime\/(web|node)$/.exec(specifier)?.[1]
  if (wrapper) return modules.ownWrapper ? join(OWN_FOLDER, `runtime-${wrapper}.js`) : undefined
  if (specifier === 'onnxruntime-node') return modules.externalNode ? { id: specifier, external: true } : undefined
  if (specifier === TOKENIZERS) return modules.externWasm ? tokenizers(root) : undefined
  return modules.externWasm && specifier.startsWith('onnxruntime-web/')
    ? findWebRuntime(specifier, root).entry
    : undefined
}

/** The error for a library that a generated module imports and the project does not have; undefined for other specifiers. */
export function missingLibrary(specifier: string, importer: string | undefined): OnnxError | undefined {
  if (!importer || !MODEL_ID.test(importer)) return undefined
  if (specifier.startsWith('onnxruntime-web/')) return webRuntimeMissing()
  if (specifier !== TOKENIZERS) return undefined
  return new OnnxError('TOKENIZERS_MISSING', `${TOKENIZERS} is not installed`, {
    hint: `Models that take text need it: npm install ${TOKENIZERS}`,
  })
}

/** The tokenizer library of a project as an ES module, for bundlers that do not look into packages; undefined if it is not there. */
function tokenizers(root: string): string | undefined {
  try {
    let folder = dirname(createRequire(join(root, 'package.json')).resolve(TOKENIZERS))
    while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
    const { module } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { module?: string }
    return module && join(folder, module)
  } catch {
    return undefined
  }
}
