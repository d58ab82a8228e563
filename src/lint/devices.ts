/** Devices that the rules are about. */
export const GPU_DEVICES: readonly string[] = ['webgpu', 'webnn', 'cuda', 'tensorrt', 'dml']
