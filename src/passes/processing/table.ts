import type { StepTable } from '../../params/spec.ts'

const interpolation = {
  type: 'enum',
  values: ['linear', 'cubic', 'nearest'],
  default: 'linear',
  doc: 'How pixels between pixels are found',
} as const
const cubic = {
  type: 'enum',
  values: ['linear', 'cubic', 'nearest'],
  default: 'cubic',
  doc: 'How pixels between pixels are found',
} as const
const antialias = {
  type: 'boolean',
  default: true,
  doc: 'Every pixel of the original counts when it gets smaller, as in Pillow and torchvision; needs opset 18',
} as const
const labels = {
  type: 'string',
  placeholder: 'file',
  doc: 'File of class names, relative to the model: one a line, a JSON list, or a JSON object (also config.json with id2label)',
} as const
const input = { type: 'string', placeholder: 'name', doc: 'The input of the model; found if left out' } as const
const output = { type: 'string', placeholder: 'name', doc: 'The output of the model; the first if left out' } as const
const layout = {
  type: 'enum',
  values: ['HWC', 'CHW', 'HW', 'RGB', 'BGR'],
  doc: 'For configurations of other tools: the layout is known here',
} as const

const imageParams = {
  size: {
    type: 'numbers',
    placeholder: '224 or [height,width]',
    doc: 'Size that the model gets; its own input size if left out',
  },
  resize: { type: 'integer', min: 1, doc: 'With cover: size of the shorter side before the crop; as size if left out' },
  fit: {
    type: 'enum',
    values: ['cover', 'contain', 'stretch'],
    default: 'cover',
    doc: 'Resize and crop the centre, resize and pad (letterbox), or resize without regard to proportions',
  },
  interpolation: interpolation as typeof interpolation,
  antialias: antialias as typeof antialias,
  scale: { type: 'number', default: 0.00392156862745098, doc: 'Factor of pixel values from 0 to 255' },
  mean: { type: 'numbers', doc: 'Subtracted after scaling, one number or one per channel' },
  std: { type: 'numbers', doc: 'Divides after that, one number or one per channel' },
  channels: {
    type: 'enum',
    values: ['rgb', 'bgr', 'grey'],
    doc: 'Order of channels that the model wants; rgb, or grey for a model with one channel',
  },
  fill: { type: 'integer', min: 0, max: 255, default: 0, doc: 'With contain: value of the padding' },
  batch: {
    type: 'boolean',
    default: false,
    doc: 'Takes several images in one run, of any sizes: `run([first, second])`',
  },
  input: input as typeof input,
} as const

const detectionParams = {
  scoreThreshold: { type: 'number', min: 0, max: 1, default: 0.25, doc: 'Boxes below this score are left out' },
  iouThreshold: { type: 'number', min: 0, max: 1, default: 0.45, doc: 'Boxes of one class that overlap more are one' },
  maxDetections: { type: 'integer', min: 1, default: 300, doc: 'At most so many boxes' },
  format: {
    type: 'enum',
    values: ['yolov8', 'yolov5', 'endToEnd'],
    doc: 'yolov8: [1, 4 + classes, boxes]; yolov5: [1, boxes, 5 + classes] with a confidence; endToEnd: [1, boxes, 6] of corners, score and class, with no suppression left to do; found by the shape if left out',
  },
  keyPoints: { type: 'integer', min: 0, default: 0, doc: 'Key points per box, after its classes: output `keypoints`' },
  keyPointSize: { type: 'integer', min: 2, max: 3, default: 3, doc: 'Numbers per key point: x, y and perhaps a score' },
  draw: { type: 'boolean', default: false, doc: 'Also draw the boxes: output `image`' },
  labels: labels as typeof labels,
  output: output as typeof output,
} as const

const melParams = {
  mels: { type: 'integer', min: 1, default: 80, doc: 'Number of mel bands' },
  sampleRate: { type: 'integer', min: 1, default: 16000, doc: 'Samples per second' },
  window: { type: 'integer', min: 2, default: 400, doc: 'Samples in a window (Hann)' },
  hop: { type: 'integer', min: 1, default: 160, doc: 'Samples from one window to the next' },
  input: input as typeof input,
} as const

const yoloParams: typeof imageParams & typeof detectionParams = { ...imageParams, ...detectionParams }

/** All steps by name, with their arguments: query, types, command line and docs come from here. */
const table = {
  image: {
    doc: 'All that an image model wants: resize, crop or pad, channels, floats, normalization, layout',
    params: imageParams as typeof imageParams,
  },
  imagenet: {
    doc: '`image` with the shorter side 256/224 of the size, and the mean and standard deviation of ImageNet',
    params: imageParams as typeof imageParams,
  },
  yolo: {
    doc: 'Before the model: `image(fit:contain,fill:114)`; after it: `detections`',
    params: yoloParams as typeof yoloParams,
  },
  superresolution: {
    doc: 'Brightness (Y of YCbCr) through the model, colours resized beside it; use it before and after the model',
    params: { interpolation: cubic as typeof cubic, input: input as typeof input },
  },
  whisper: { doc: '`audio(480000)`, then `logMel` as Whisper wants it', params: melParams as typeof melParams },
  audio: {
    doc: 'Mono samples: padded with zeros or cut to a length, and normalized if asked for',
    params: {
      samples: { type: 'integer', min: 1, doc: 'Length in samples; any if left out' },
      sampleRate: melParams.sampleRate as (typeof melParams)['sampleRate'],
      normalize: { type: 'boolean', default: false, doc: 'Mean 0 and variance 1, as wav2vec2 wants' },
      input: input as typeof input,
    },
  },
  tokens: {
    doc: 'Text: a tokenizer of `@huggingface/tokenizers` beside the model fills its token inputs',
    params: {
      tokenizer: {
        type: 'string',
        default: 'tokenizer.json',
        placeholder: 'file',
        doc: 'The tokenizer, relative to the model',
      },
      maxLength: { type: 'integer', min: 1, doc: 'Longer texts are cut' },
    },
  },
  spectrogram: {
    doc: 'Power of frequencies over time: windows centred on every hop, ends reflected',
    params: {
      window: melParams.window as (typeof melParams)['window'],
      hop: melParams.hop as (typeof melParams)['hop'],
    },
  },
  mel: {
    doc: 'Mel bands of a spectrogram (Slaney)',
    params: {
      mels: melParams.mels as (typeof melParams)['mels'],
      sampleRate: melParams.sampleRate as (typeof melParams)['sampleRate'],
    },
  },
  logMel: {
    doc: 'Spectrogram and mel bands as Whisper wants them: log10, 8 below the peak at least, (x + 4) / 4',
    params: melParams as typeof melParams,
  },
  fbank: {
    doc: "Kaldi's logarithmic filter banks [frames, mels]: whole windows alone, without their mean, with pre-emphasis",
    params: {
      mels: melParams.mels as (typeof melParams)['mels'],
      sampleRate: melParams.sampleRate as (typeof melParams)['sampleRate'],
      window: { type: 'integer', min: 2, default: 400, doc: 'Samples in a window' },
      hop: melParams.hop as (typeof melParams)['hop'],
      windowType: { type: 'enum', values: ['povey', 'hann', 'hamming'], default: 'povey', doc: 'Shape of the window' },
      preemphasis: {
        type: 'number',
        min: 0,
        max: 1,
        default: 0.97,
        doc: 'Share of the sample before that is taken off',
      },
      lowest: { type: 'number', min: 0, default: 20, doc: 'Hertz where the first band begins' },
      scale: { type: 'number', default: 1, doc: 'Factor of samples; 32768 where a model wants 16-bit numbers' },
      frames: { type: 'integer', min: 1, doc: 'How many: padded with zeros or cut; any if left out' },
      mean: { type: 'numbers', doc: 'Subtracted at the end, one number or one per band' },
      std: { type: 'numbers', doc: 'Divides after that, one number or one per band' },
      input: input as typeof input,
    },
  },
  resize: {
    doc: 'Changes the size of an image',
    params: {
      resizeTo: { type: 'numbers', placeholder: 'size or [height,width]', doc: 'The size; one number is both' },
      policy: {
        type: 'enum',
        values: ['notSmaller', 'notLarger', 'not_smaller', 'not_larger', 'stretch'],
        default: 'notSmaller',
        doc: 'Proportions are kept, and no side is smaller (or larger) than asked for; or each side is as asked for',
      },
      interpolation: interpolation as typeof interpolation,
      antialias: antialias as typeof antialias,
      layout: layout as typeof layout,
    },
  },
  centerCrop: {
    doc: 'The middle of an image',
    params: {
      height: { type: 'integer', min: 1, doc: 'Height' },
      width: { type: 'integer', min: 1, doc: 'Width; as the height if left out' },
    },
  },
  letterBox: {
    doc: 'Pads an image on all sides alike, or crops it',
    params: {
      targetShape: { type: 'numbers', placeholder: 'size or [height,width]', doc: 'The size' },
      fillValue: { type: 'integer', min: 0, max: 255, default: 0, doc: 'Value of the padding' },
      layout: layout as typeof layout,
    },
  },
  channels: {
    doc: 'Order of channels; alpha is dropped',
    params: { to: { type: 'enum', values: ['rgb', 'bgr', 'grey'], default: 'rgb', doc: 'What it becomes' } },
  },
  convertImageToBGR: { doc: 'For configurations of other tools: `channels(bgr)`, as pixels come in', params: {} },
  convertBGRToImage: {
    doc: 'For configurations of other tools: `channels(rgb)` and bytes, as pixels go out',
    params: { imageFormat: { type: 'string', doc: 'Not used: pixels are not encoded' } },
  },
  pixelsToYCbCr: {
    doc: 'RGB to brightness and two colour planes (T.871): three images, of which the next step gets the brightness',
    params: { layout: layout as typeof layout },
  },
  yCbCrToPixels: {
    doc: 'Brightness and two colour planes, those of `pixelsToYCbCr` unless others are given, to RGB',
    params: { layout: layout as typeof layout, interpolation: cubic as typeof cubic },
  },
  imageBytesToFloat: {
    doc: 'Bytes to floats',
    params: { rescaleFactor: { type: 'number', default: 0.00392156862745098, doc: 'Factor' } },
  },
  floatToImageBytes: {
    doc: 'Floats to bytes, rounded and clipped',
    params: { multiplier: { type: 'number', default: 255, doc: 'Factor' } },
  },
  toImage: {
    doc: 'What the model gives as bytes [height, width, channels]: output `image`',
    params: {
      scale: { type: 'number', default: 255, doc: 'Factor, after mean and std' },
      mean: { type: 'numbers', doc: 'Added after std: as the model was trained, one number or one per channel' },
      std: { type: 'numbers', doc: 'Multiplies, one number or one per channel' },
      channels: { type: 'enum', values: ['rgb', 'bgr'], default: 'rgb', doc: 'Order of channels of the model' },
      output: output as typeof output,
    },
  },
  normalize: {
    doc: '(x - mean) / std per channel',
    params: {
      mean: { type: 'numbers', doc: 'One number or one per channel' },
      std: { type: 'numbers', doc: 'One number or one per channel' },
      normalizationValues: {
        type: 'numbers',
        placeholder: '[[mean,std],...]',
        doc: 'The same as pairs, one or one per channel',
      },
      layout: layout as typeof layout,
    },
  },
  channelsLastToChannelsFirst: {
    doc: 'HWC to CHW',
    params: { hasBatchDim: { type: 'boolean', doc: 'Not used: it is known' } },
  },
  channelsFirstToChannelsLast: { doc: 'CHW to HWC', params: {} },
  transpose: { doc: 'Another order of dimensions', params: { perms: { type: 'numbers', doc: 'The order' } } },
  reverseAxis: {
    doc: 'Reverses one dimension',
    params: {
      axis: { type: 'integer', default: -1, doc: 'The dimension' },
      dimValue: { type: 'integer', doc: 'Not used' },
    },
  },
  unsqueeze: { doc: 'Adds dimensions of size 1', params: { axes: { type: 'numbers', doc: 'Where' } } },
  squeeze: {
    doc: 'Takes away dimensions of size 1',
    params: { axes: { type: 'numbers', doc: 'Which; all if left out' } },
  },
  split: {
    doc: 'Cuts one dimension into several tensors',
    params: {
      numOutputs: { type: 'integer', min: 1, doc: 'How many, of equal size; the last may be smaller' },
      axis: { type: 'integer', default: 0, doc: 'The dimension' },
      splits: { type: 'numbers', doc: 'Their sizes, where they differ' },
    },
  },
  identity: { doc: 'Nothing', params: { numInputs: { type: 'integer', min: 1, doc: 'Not used' } } },
  debug: {
    doc: 'Shows what comes by as outputs `debug_...`, and hands it on',
    params: { numInputs: { type: 'integer', min: 1, doc: 'How many; all if left out' } },
  },
  softmax: {
    doc: 'Scores to probabilities',
    params: { axis: { type: 'integer', default: -1, doc: 'Along this dimension' } },
  },
  sigmoid: { doc: 'Scores to independent probabilities', params: {} },
  argMax: {
    doc: 'Position of the largest value',
    params: {
      axis: { type: 'integer', default: -1, doc: 'Along this dimension' },
      keepdims: { type: 'integer', min: 0, max: 1, default: 0, doc: '1 keeps the dimension' },
    },
  },
  topK: {
    doc: 'The best classes: outputs `classes`, `scores` (probabilities), and `labels` where a file of them is given',
    params: {
      k: { type: 'integer', min: 1, default: 5, doc: 'How many' },
      labels: labels as typeof labels,
      softmax: { type: 'boolean', doc: 'Scores to probabilities first; on unless the model does it' },
      output: output as typeof output,
    },
  },
  answer: {
    doc: 'The most likely span of a question-answering model: outputs `start`, `end` (token positions) and `score`',
    params: { maxLength: { type: 'integer', min: 1, default: 30, doc: 'At most so many tokens' } },
  },
  detections: {
    doc: 'Boxes of YOLO models after non-maximum suppression, in pixels of the original image: `boxes` (x1, y1, x2, y2), `scores`, `classes`, `labels`',
    params: detectionParams as typeof detectionParams,
  },
  splitOutBoxAndScore: {
    doc: '[..., 4 + classes] to boxes and scores',
    params: { numClasses: { type: 'integer', min: 1, doc: 'Number of classes' } },
  },
  splitOutBoxAndScoreWithConf: {
    doc: '[..., 4 + 1 + classes] to boxes, and scores times confidence',
    params: { numClasses: { type: 'integer', min: 1, doc: 'Number of classes' } },
  },
  selectBestBoundingBoxesByNMS: {
    doc: 'Boxes (centre, size) and scores to [boxes, 6]: box, score, class, then what else there is per box; best first',
    params: {
      iouThreshold: {
        type: 'number',
        min: 0,
        max: 1,
        default: 0.5,
        doc: 'Boxes of one class that overlap more are one',
      },
      scoreThreshold: { type: 'number', min: 0, max: 1, default: 0.67, doc: 'Boxes below this score are left out' },
      maxBoxesPerClass: { type: 'integer', min: 1, default: 100, doc: 'At most so many of one class' },
      maxDetections: { type: 'integer', min: 1, doc: 'At most so many at all' },
      hasMaskData: {
        type: 'boolean',
        default: false,
        doc: 'A third tensor has more numbers per box, which stay with it',
      },
    },
  },
  scaleNMSBoundingBoxesAndKeyPoints: {
    doc: 'Boxes in pixels of what the model saw to pixels of the original image',
    params: {
      numKeyPoints: { type: 'integer', min: 0, default: 0, doc: 'Key points behind score and class, x and y first' },
      layout: layout as typeof layout,
    },
  },
  splitDetections: {
    doc: '[boxes, 6] to `boxes` (x1, y1, x2, y2), `scores`, `classes`, `labels`',
    params: {
      labels: labels as typeof labels,
      numKeyPoints: { type: 'integer', min: 0, default: 0, doc: 'Also output `keypoints`' },
    },
  },
  drawBoundingBoxes: {
    doc: 'Draws boxes on the original image: output `image`',
    params: {
      mode: {
        type: 'enum',
        values: ['XYXY', 'XYWH', 'CENTER_XYWH'],
        default: 'CENTER_XYWH',
        doc: 'What a box is made of',
      },
      thickness: { type: 'integer', min: 1, default: 4, doc: 'Width of lines in pixels' },
      numClasses: { type: 'integer', min: 1, default: 10, doc: 'Number of colours' },
      colourByClasses: { type: 'boolean', default: true, doc: 'One colour per class' },
    },
  },
} as const

const TOKENIZER =
  'Tokenizers are no standard operators: preprocess with tokens(tokenizer.json), which reads text beside the model.'
/** Steps of other tools that are no part of a graph here, with what to do instead. */
export const ELSEWHERE: Readonly<Record<string, string>> = {
  SentencePieceTokenizer: TOKENIZER,
  BertTokenizer: TOKENIZER,
  HfBertTokenizer: TOKENIZER,
  HfJsonTokenizer: TOKENIZER,
  BertTokenizerQADecoder: 'Postprocess with answer: the session then gives the text of the answer.',
}

/** The same by its own type: that of each step's arguments. */
export const STEPS: typeof table = table

export type StepName = keyof typeof table

/** The widened form, where steps are treated alike. */
export const stepTable: StepTable = table
