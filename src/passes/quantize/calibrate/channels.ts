import type { Model } from '../../../graph/model.ts'
import type { Value } from '../../../graph/value.ts'
import { channelLayout, type FloatType, minMaxPerChannel, toFloat32 } from '../../../kernels/index.ts'
import type { CalibrationData } from './data/index.ts'
import { observe } from './observe.ts'

/** What was seen of the channels of an activation: of axis 1 from rank 3 of images on, else of the last axis. */
export interface Channels {
  /** Largest magnitude. */
  reach: Float32Array
  mean: Float64Array
}

/** A value, and which of its axes has the channels; counted from the end if negative. */
export interface ChannelRequest {
  value: Value
  axis: number
}

/** Runs the model on data and measures activations channel by channel. Values whose number of channels varies are left out. */
export async function measureChannels(
  model: Model,
  requests: readonly ChannelRequest[],
  data: CalibrationData,
  { threads, signal }: { threads: number; signal?: AbortSignal | undefined },
): Promise<Map<Value, Channels>> {
  const axes = new Map(requests.map(({ value, axis }) => [value, axis]))
  const found = new Map<Value, Channels & { rows: number }>()
  const odd = new Set<Value>()
  const observer = await observe(model, [...axes.keys()], { threads, signal })
  try {
    await observer.run(data, (value, tensor) => {
      const layout = channelLayout(tensor.dims, axes.get(value)!)
      const { channels, outer, inner } = layout
      const known = found.get(value)
      if (known && known.reach.length !== channels) odd.add(value)
      if (odd.has(value) || tensor.elementCount === 0) return
      const entry = known ?? { reach: new Float32Array(channels), mean: new Float64Array(channels), rows: 0 }
      found.set(value, entry)
      const floats = { dtype: tensor.dtype as FloatType, bytes: tensor.bytes() }
      const { min, max } = minMaxPerChannel(floats, layout)
      const values = toFloat32(floats)
      const rows = outer * inner
      const sums = new Float64Array(channels)
      for (let o = 0, at = 0; o < outer; o++)
        for (let c = 0; c < channels; c++) for (let i = 0; i < inner; i++) sums[c]! += values[at++]!
      for (let c = 0; c < channels; c++) {
        entry.reach[c] = Math.max(entry.reach[c]!, max[c]!, -min[c]!)
        entry.mean[c]! += (sums[c]! / rows - entry.mean[c]!) * (rows / (entry.rows + rows))
      }
      entry.rows += rows
    })
  } finally {
    await observer.release()
  }
  for (const value of odd) found.delete(value)
  return found
}
