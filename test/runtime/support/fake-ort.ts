import type { Ort, OrtSession, OrtTensor } from '../../../src/runtime/ort.ts'
import type { IoInfo, ModelInfo } from '../../../src/runtime/types.ts'

/** A tensor that only stores. */
export class FakeTensor implements OrtTensor {
  location = 'cpu'
  disposed = false
  constructor(
    readonly type: string,
    readonly data: unknown,
    readonly dims: readonly number[],
  ) {}
  getData(): Promise<unknown> {
    return Promise.resolve(this.data)
  }
  dispose(): void {
    this.disposed = true
  }
}

export interface FakeOrt extends Ort {
  /** What happened, in order. */
  log: string[]
  /** Feeds of the last run. */
  fed: { [name: string]: OrtTensor }
  /** What sessions were created with. */
  created: { model: unknown; options: Record<string, unknown> }[]
}

/**
 * An ONNX Runtime that computes nothing: each output is the float32 scalar 7, each call takes a turn of the event loop.
 * `broken` names execution providers that fail.
 */
export function fakeOrt(inputNames: readonly string[], broken: readonly string[] = []): FakeOrt {
  const pause = () => new Promise((resolve) => setTimeout(resolve, 1))
  const fake: FakeOrt = {
    log: [],
    fed: {},
    created: [],
    env: { wasm: {} },
    Tensor: FakeTensor as unknown as Ort['Tensor'],
    InferenceSession: {
      async create(model: unknown, options: unknown): Promise<OrtSession> {
        const given = options as Record<string, unknown>
        fake.created.push({ model, options: given })
        const [provider] = given['executionProviders'] as string[]
        if (broken.includes(provider!)) throw new Error(`${provider} is broken`)
        return {
          inputNames,
          async run(feeds, outputs) {
            fake.log.push('start')
            fake.fed = feeds
            await pause()
            fake.log.push('end')
            if ('fail' in feeds) throw new Error('no kernel')
            return Object.fromEntries(outputs.map((name) => [name, new FakeTensor('float32', Float32Array.of(7), [])]))
          },
          async release() {
            fake.log.push('release')
          },
        }
      },
    },
  }
  return fake
}

/** Model info with these inputs and outputs. */
export function infoOf(inputs: readonly IoInfo[], outputs: readonly IoInfo[] = [io('y', 'float32', [])]): ModelInfo {
  return { inputs, outputs, opsets: { '': 21 }, irVersion: 10, producer: '', metadata: {}, ops: {} }
}

/** A tensor input or output; leave `shape` out for an unknown rank. */
export function io(name: string, dtype: string, shape?: IoInfo['shape'], optional?: boolean): IoInfo {
  return { name, dtype, type: `tensor(${dtype})`, ...(shape && { shape }), ...(optional && { optional }) }
}
