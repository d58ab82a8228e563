import { zeros } from './elements.ts'
import { OnnxSessionError } from './error.ts'
import type { Ort, OrtTensor } from './ort.ts'
import type { IoInfo } from './types.ts'

/** An adapter, as the emitted module describes it. */
export interface AdapterDefinition {
  name: string
  url: string | URL
  /** Size of the file. */
  bytes: number
  /** Per input: where its weights begin in the file, then their dims. */
  tensors: readonly (readonly number[])[]
}

type Weights = { [input: string]: OrtTensor }

/** The adapters of one model. */
export interface AdapterSet {
  names: readonly string[]
  /** The same for the tensors of one ONNX Runtime. Each adapter is loaded once. */
  open(ort: Ort): {
    /** Weights that change nothing. */
    none: Weights
    /** @throws OnnxSessionError ADAPTER_UNKNOWN or DOWNLOAD_FAILED */
    load(name: string): Promise<Weights>
  }
}

/** @param load gives the bytes of a file */
export function adapterSet(
  load: (url: string, bytes: number) => Promise<Uint8Array>,
  inputs: readonly IoInfo[],
  list: readonly AdapterDefinition[],
): AdapterSet {
  const names = list.map(({ name }) => name)
  return {
    names,
    open({ Tensor }) {
      const loaded = new Map<string, Promise<Weights>>()
      /** One tensor per input, filled with what stands at `offset` of a file. */
      const weights = (dimsOf: (at: number) => readonly number[], file?: Uint8Array, offsets: readonly number[] = []) =>
        Object.fromEntries(
          inputs.map(({ name, dtype }, at): [string, OrtTensor] => {
            const dims = dimsOf(at)
            const data = zeros(
              dtype!,
              dims.reduce((product, size) => product * size, 1),
            ) as Uint8Array
            // A copy, as weights may begin anywhere and typed arrays may not.
            if (file) new Uint8Array(data.buffer).set(file.subarray(offsets[at]!, offsets[at]! + data.byteLength))
            return [name, new Tensor(dtype as never, data as never, dims)]
          }),
        )
      const fetchAdapter = async ({ url, bytes, tensors }: AdapterDefinition): Promise<Weights> => {
        const file = await load(String(url), bytes)
        if (file.length !== bytes)
          throw new OnnxSessionError('DOWNLOAD_FAILED', `${url}: expected ${bytes} bytes, got ${file.length}`)
        return weights(
          (at) => tensors[at]!.slice(1),
          file,
          tensors.map(([offset]) => offset!),
        )
      }
      return {
        // Rank 1, as not every device takes empty tensors.
        none: weights((at) => inputs[at]!.shape!.map((dim) => (typeof dim === 'number' ? dim : 1))),
        load(name) {
          const adapter = list.find((one) => one.name === name)
          if (!adapter) {
            const known = names.map((one) => `"${one}"`).join(', ')
            return Promise.reject(new OnnxSessionError('ADAPTER_UNKNOWN', `no adapter "${name}"; there is ${known}`))
          }
          const before = loaded.get(name)
          if (before) return before
          const loading = fetchAdapter(adapter)
          loaded.set(name, loading)
          // What failed may be tried again.
          loading.catch(() => loaded.delete(name))
          return loading
        },
      }
    },
  }
}
