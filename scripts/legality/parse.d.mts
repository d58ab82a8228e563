/** A kernel: versions of its operator (without `to`: and newer), and element types of the first operand. */
export interface ListedKernel {
  from: number
  to?: number
  types?: string[]
}
export type ListedKernels = Map<string, ListedKernel[]>
export function parseVersions(text: string): ListedKernel | undefined
export function parseKernelList(text: string, provider: string): ListedKernels
export function parseWebTable(text: string): ListedKernels
export function parseNameTable(text: string): ListedKernels
export function parseRegistry(text: string): ListedKernels
export function parseTensorRt(text: string): ListedKernels
