import { zeros } from './elements.ts'
import { OnnxSessionError, unknown } from './error.ts'
import type { Opener, VariantDefinition } from './model.ts'
import { loadOrt, type OrtTensor } from './ort.ts'
import type { IoInfo, Session } from './types.ts'

/** The file of an adapter. */
export interface AdapterFile {
  name: string
  url: string | URL
  /** Size of the file. */
  bytes: number
}

/** An adapter whose weights are inputs of the model, as the emitted module describes it. */
export interface AdapterDefinition extends AdapterFile {
  /** Per input: where its weights begin in the file, then their dims. */
  tensors: readonly (readonly number[])[]
}

/** Reads a file of known size. */
export type LoadFile = (url: string, bytes: number) => Promise<Uint8Array>

/** The adapters of one model. */
export interface AdapterSet {
  names: readonly string[]
  /**
   * Opens the model with an adapter, or with none.
   * @throws OnnxSessionError ADAPTER_UNKNOWN before anything is loaded, DOWNLOAD_FAILED
   */
  open(variant: VariantDefinition, open: Opener, name: string | undefined): Promise<Session>
}

/** The adapter of a name. Throws OnnxSessionError ADAPTER_UNKNOWN. */
export function adapterOf<A extends AdapterFile>(list: readonly A[], name: string): A {
  const adapter = list.find((one) => one.name === name)
  if (adapter) return adapter
  throw unknown(
    'adapter',
    name,
    list.map((one) => one.name),
  )
}

/** The bytes of an adapter's file. Throws OnnxSessionError DOWNLOAD_FAILED. */
export async function readAdapter(load: LoadFile, { url, bytes }: AdapterFile): Promise<Uint8Array> {
  const file = await load(String(url), bytes)
  if (file.length === bytes) return file
  throw new OnnxSessionError('DOWNLOAD_FAILED', `${url}: expected ${bytes} bytes, got ${file.length}`)
}

type Weights = { [input: string]: OrtTensor }

/** Adapters whose weights are fed with each run: all share one session, and each is loaded once. */
export function adapterSet(load: LoadFile, inputs: readonly IoInfo[], list: readonly AdapterDefinition[]): AdapterSet {
  return {
    names: list.map(({ name }) => name),
    async open(variant, open, first) {
      if (first !== undefined) adapterOf(list, first)
      const [view, { Tensor }] = await Promise.all([open(variant), loadOrt(variant.ort)])
      const base = view()
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
      const read = async (adapter: AdapterDefinition): Promise<Weights> => {
        const { tensors } = adapter
        const file = await readAdapter(load, adapter)
        return weights(
          (at) => tensors[at]!.slice(1),
          file,
          tensors.map(([offset]) => offset!),
        )
      }
      // Rank 1, as not every device takes empty tensors.
      const none = weights((at) => inputs[at]!.shape!.map((dim) => (typeof dim === 'number' ? dim : 1)))
      const loaded = new Map<string, Promise<Weights>>()
      const weightsOf = (name: string): Promise<Weights> => {
        const loading = loaded.get(name) ?? read(adapterOf(list, name))
        loaded.set(name, loading)
        // What failed may be tried again.
        loading.catch(() => loaded.delete(name))
        return loading
      }
      const withAdapter = async (adapter: string | undefined): Promise<Session> => {
        // Fails for what was disposed of.
        await base.withAdapter(undefined)
        const weights = adapter === undefined ? none : await weightsOf(adapter)
        return view(weights, { adapters: this.names, adapter, withAdapter })
      }
      return withAdapter(first)
    },
  }
}
