import type { ParamInput, ParamTable, ParamValue, StepValue } from './params/spec.ts'
import { STEPS, type StepName } from './passes/processing/table.ts'

/** What may stand alone: any single value that some argument takes. */
type First<T extends ParamTable> = Exclude<{ [K in keyof T]: ParamValue<T[K]> }[keyof T], object>

/** What every step takes besides: a name, and inputs that do not come from the step before it. */
export type Wiring = Pick<StepValue, 'name' | 'ioMap'>

/** Makes a step: `resize({ resizeTo: 256 })`, or with the first argument alone: `resize(256)`. Arguments are checked when it is used. */
export type MakeStep<T extends ParamTable> = (args?: (ParamInput<T> & Wiring) | First<T>) => StepValue

function make<N extends StepName>(step: N): MakeStep<(typeof STEPS)[N]['params']> {
  return (args) => {
    if (args === undefined || (typeof args === 'object' && !Array.isArray(args))) return { step, ...(args as object) }
    const [first] = Object.keys(STEPS[step].params)
    return { step, [first!]: args }
  }
}

/** All that an image model wants: resize, crop or pad, channels, floats, normalization, layout */
export const image: MakeStep<(typeof STEPS)['image']['params']> = make('image')
/** `image` with the shorter side 256/224 of the size, and the mean and standard deviation of ImageNet */
export const imagenet: MakeStep<(typeof STEPS)['imagenet']['params']> = make('imagenet')
/** Before the model: `image(fit:contain,fill:114)`; after it: `detections` */
export const yolo: MakeStep<(typeof STEPS)['yolo']['params']> = make('yolo')
/** Brightness (Y of YCbCr) through the model, colours resized beside it; use it before and after the model */
export const superresolution: MakeStep<(typeof STEPS)['superresolution']['params']> = make('superresolution')
/** `audio(480000)`, then `logMel` as Whisper wants it */
export const whisper: MakeStep<(typeof STEPS)['whisper']['params']> = make('whisper')
/** Mono samples: padded with zeros or cut to a length, and normalized if asked for */
export const audio: MakeStep<(typeof STEPS)['audio']['params']> = make('audio')
/** Text: a tokenizer of `@huggingface/tokenizers` beside the model fills its token inputs */
export const tokens: MakeStep<(typeof STEPS)['tokens']['params']> = make('tokens')
/** Power of frequencies over time: windows centred on every hop, ends reflected */
export const spectrogram: MakeStep<(typeof STEPS)['spectrogram']['params']> = make('spectrogram')
/** Mel bands of a spectrogram (Slaney) */
export const mel: MakeStep<(typeof STEPS)['mel']['params']> = make('mel')
/** Spectrogram and mel bands as Whisper wants them: log10, 8 below the peak at least, (x + 4) / 4 */
export const logMel: MakeStep<(typeof STEPS)['logMel']['params']> = make('logMel')
/** Kaldi's logarithmic filter banks [frames, mels]: whole windows alone, without their mean, with pre-emphasis */
export const fbank: MakeStep<(typeof STEPS)['fbank']['params']> = make('fbank')
/** Changes the size of an image */
export const resize: MakeStep<(typeof STEPS)['resize']['params']> = make('resize')
/** The middle of an image */
export const centerCrop: MakeStep<(typeof STEPS)['centerCrop']['params']> = make('centerCrop')
/** Pads an image on all sides alike, or crops it */
export const letterBox: MakeStep<(typeof STEPS)['letterBox']['params']> = make('letterBox')
/** Order of channels; alpha is dropped */
export const channels: MakeStep<(typeof STEPS)['channels']['params']> = make('channels')
/** For configurations of other tools: `channels(bgr)`, as pixels come in */
export const convertImageToBGR: MakeStep<(typeof STEPS)['convertImageToBGR']['params']> = make('convertImageToBGR')
/** For configurations of other tools: `channels(rgb)` and bytes, as pixels go out */
export const convertBGRToImage: MakeStep<(typeof STEPS)['convertBGRToImage']['params']> = make('convertBGRToImage')
/** RGB to brightness and two colour planes (T.871); the model gets the brightness */
export const pixelsToYCbCr: MakeStep<(typeof STEPS)['pixelsToYCbCr']['params']> = make('pixelsToYCbCr')
/** Brightness of the model and the colour planes to RGB */
export const yCbCrToPixels: MakeStep<(typeof STEPS)['yCbCrToPixels']['params']> = make('yCbCrToPixels')
/** Bytes to floats */
export const imageBytesToFloat: MakeStep<(typeof STEPS)['imageBytesToFloat']['params']> = make('imageBytesToFloat')
/** Floats to bytes, rounded and clipped */
export const floatToImageBytes: MakeStep<(typeof STEPS)['floatToImageBytes']['params']> = make('floatToImageBytes')
/** What the model gives as bytes [height, width, channels]: output `image` */
export const toImage: MakeStep<(typeof STEPS)['toImage']['params']> = make('toImage')
/** (x - mean) / std per channel */
export const normalize: MakeStep<(typeof STEPS)['normalize']['params']> = make('normalize')
/** HWC to CHW */
export const channelsLastToChannelsFirst: MakeStep<(typeof STEPS)['channelsLastToChannelsFirst']['params']> =
  make('channelsLastToChannelsFirst')
/** CHW to HWC */
export const channelsFirstToChannelsLast: MakeStep<(typeof STEPS)['channelsFirstToChannelsLast']['params']> =
  make('channelsFirstToChannelsLast')
/** Another order of dimensions */
export const transpose: MakeStep<(typeof STEPS)['transpose']['params']> = make('transpose')
/** Reverses one dimension */
export const reverseAxis: MakeStep<(typeof STEPS)['reverseAxis']['params']> = make('reverseAxis')
/** Adds dimensions of size 1 */
export const unsqueeze: MakeStep<(typeof STEPS)['unsqueeze']['params']> = make('unsqueeze')
/** Takes away dimensions of size 1 */
export const squeeze: MakeStep<(typeof STEPS)['squeeze']['params']> = make('squeeze')
/** Cuts one dimension into several tensors */
export const split: MakeStep<(typeof STEPS)['split']['params']> = make('split')
/** Shows what comes by as outputs `debug_...`, and hands it on */
export const debug: MakeStep<(typeof STEPS)['debug']['params']> = make('debug')
/** Nothing */
export const identity: MakeStep<(typeof STEPS)['identity']['params']> = make('identity')
/** Scores to probabilities */
export const softmax: MakeStep<(typeof STEPS)['softmax']['params']> = make('softmax')
/** Scores to independent probabilities */
export const sigmoid: MakeStep<(typeof STEPS)['sigmoid']['params']> = make('sigmoid')
/** Position of the largest value */
export const argMax: MakeStep<(typeof STEPS)['argMax']['params']> = make('argMax')
/** The best classes: outputs `classes`, `scores` (probabilities), and `labels` where a file of them is given */
export const topK: MakeStep<(typeof STEPS)['topK']['params']> = make('topK')
/** The most likely span of a question-answering model: outputs `start`, `end` (token positions) and `score` */
export const answer: MakeStep<(typeof STEPS)['answer']['params']> = make('answer')
/** Boxes of YOLO models after non-maximum suppression, in pixels of the original image: `boxes` (x1, y1, x2, y2), `scores`, `classes`, `labels` */
export const detections: MakeStep<(typeof STEPS)['detections']['params']> = make('detections')
/** [..., 4 + classes] to boxes and scores */
export const splitOutBoxAndScore: MakeStep<(typeof STEPS)['splitOutBoxAndScore']['params']> =
  make('splitOutBoxAndScore')
/** [..., 4 + 1 + classes] to boxes, and scores times confidence */
export const splitOutBoxAndScoreWithConf: MakeStep<(typeof STEPS)['splitOutBoxAndScoreWithConf']['params']> =
  make('splitOutBoxAndScoreWithConf')
/** Boxes (centre, size) and scores to [boxes, 6]: box, score, class; best first */
export const selectBestBoundingBoxesByNMS: MakeStep<(typeof STEPS)['selectBestBoundingBoxesByNMS']['params']> =
  make('selectBestBoundingBoxesByNMS')
/** Boxes in pixels of what the model saw to pixels of the original image */
export const scaleNMSBoundingBoxesAndKeyPoints: MakeStep<
  (typeof STEPS)['scaleNMSBoundingBoxesAndKeyPoints']['params']
> = make('scaleNMSBoundingBoxesAndKeyPoints')
/** [boxes, 6] to `boxes` (x1, y1, x2, y2), `scores`, `classes`, `labels` */
export const splitDetections: MakeStep<(typeof STEPS)['splitDetections']['params']> = make('splitDetections')
/** Draws boxes on the original image: output `image` */
export const drawBoundingBoxes: MakeStep<(typeof STEPS)['drawBoundingBoxes']['params']> = make('drawBoundingBoxes')
