import { type Channels, soundReader } from './sound.ts'

interface Scope {
  OfflineAudioContext: new (
    channels: number,
    length: number,
    rate: number,
  ) => { decodeAudioData(bytes: ArrayBuffer): Promise<Channels> }
}

/** Reads whatever the browser can decode; it also resamples files to the rate of the model. */
export const readSound: ReturnType<typeof soundReader> = /* @__PURE__ */ soundReader((bytes, rate) =>
  new (globalThis as unknown as Scope).OfflineAudioContext(1, 1, rate).decodeAudioData(bytes),
)
