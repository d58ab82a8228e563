import { soundReader } from './sound.ts'
import { readWav } from './wav.ts'

/** Reads WAV files. */
export const readSound: ReturnType<typeof soundReader> = /* @__PURE__ */ soundReader(readWav)
