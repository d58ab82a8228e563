/** Where sample inputs come from: parameters of every kind of quantization that runs the model. */
export const dataParams = {
  calibration: {
    type: 'string',
    doc: 'Calibration data: `.npz`, `.npy`, `.jsonl`, a JavaScript module that exports an iterable of feeds, or a folder of `test_data_set_N/input_M.pb` or of images',
    placeholder: 'path',
  },
  calibrationInputs: {
    type: 'map',
    doc: 'Inputs of the model by the name that they have in the data',
    placeholder: 'name:input',
  },
  calibrationSamples: { type: 'integer', doc: 'Use at most so many samples', min: 1 },
  imageSize: {
    type: 'list',
    doc: 'Images: height and width, for models that take any size',
    placeholder: 'height,width',
  },
  imageFit: {
    type: 'enum',
    doc: 'Images: cut what is too much off, fill up with black, or stretch',
    values: ['cover', 'contain', 'fill'],
    default: 'cover',
  },
  imageCrop: {
    type: 'number',
    doc: 'Images: the middle part that is kept; 0.875 makes 224 pixels of 256',
    min: 0.1,
    max: 1,
    default: 1,
  },
  imageOrder: { type: 'enum', doc: 'Images: order of the channels', values: ['rgb', 'bgr'], default: 'rgb' },
  imageScale: { type: 'number', doc: 'Images: pixels are multiplied by it; default 1/255', min: 0 },
  imageMean: {
    type: 'list',
    doc: 'Images: subtracted after that, by channel or for all',
    placeholder: 'number',
  },
  imageStd: { type: 'list', doc: 'Images: divided by after that, by channel or for all', placeholder: 'number' },
} as const
