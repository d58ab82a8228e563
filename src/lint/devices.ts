/** GPUs: what all rules are about. */
export const GPU_DEVICES: readonly string[] = ['webgpu', 'webnn', 'cuda', 'tensorrt', 'dml']

/** All devices that the CPU helps out where they lack a kernel. */
export const LINT_DEVICES: readonly string[] = [...GPU_DEVICES, 'coreml', 'qnn']
