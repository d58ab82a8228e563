import { WEBGPU_UNLISTED } from './corrections.ts'
import { TABLES, TYPE_SETS } from './tables.ts'

/** A kernel: for the versions `from` to `to` of its operator, for these element types of the first operand (undefined: not told). */
export interface Kernel {
  from: number
  to: number
  types: readonly string[] | undefined
}

/** What is known of the kernels of one device. */
export interface KernelList {
  device: string
  /** The list it was read from, with its version. */
  source: string
  /** Kernels by qualified operator (`com.microsoft:Gelu`, `Gelu`). */
  kernels: ReadonlyMap<string, readonly Kernel[]>
}

const lists = new Map<string, KernelList>()
const typeSets = TYPE_SETS.split('\n').map((line) => line.split(' '))

/** The list of a device, or undefined where there is none of that name. `wasm` runs ONNX Runtime's CPU kernels. */
export function kernelList(device: string): KernelList | undefined {
  const name = device === 'wasm' ? 'cpu' : device
  if (!Object.hasOwn(TABLES, name)) return undefined
  const known = lists.get(name)
  if (known) return known
  const list = corrected(parse(name, TABLES[name as keyof typeof TABLES]))
  lists.set(name, list)
  return list
}

function parse(device: string, text: string): KernelList {
  const [source, ...lines] = text.split('\n')
  const kernels = lines.map((line): [string, Kernel[]] => {
    const [op, ...spans] = line.split(' ')
    return [op!, spans.map(readKernel)]
  })
  return { device, source: source!, kernels: new Map(kernels) }
}

/** Reads versions as lists write them, `13+`, `6-12` or `11`, and after a slash the number of a set of types. */
export function readKernel(span: string): Kernel {
  const [versions, set] = span.trim().split('/')
  const [, from, to, plus] = /^(\d+)(?:-(\d+))?(\+)?$/.exec(versions!) ?? []
  return {
    from: Number(from),
    to: plus ? Number.POSITIVE_INFINITY : Number(to ?? from),
    types: set === undefined ? undefined : typeSets[Number(set)],
  }
}

/** The list with what is known to be otherwise. */
export function corrected(list: KernelList): KernelList {
  if (list.device !== 'webgpu') return list
  const measured = Object.entries(WEBGPU_UNLISTED).map(([op, [from, to]]): [string, Kernel[]] => [
    op,
    // Open only where no newer version of the operator was seen to be left out.
    [{ from, to: Math.min(to, NEWEST), types: undefined }],
  ])
  return { ...list, kernels: new Map([...list.kernels, ...measured]) }
}

/** Beyond any opset. */
const NEWEST = 1_000

/** Devices whose list is that of registered kernels. The others look at nodes one by one, whatever their version. */
const REGISTERED: readonly string[] = ['cpu', 'wasm', 'cuda', 'dml', 'webgpu']

/**
 * The kernels of a list for an operator as it is in an opset. Where kernels are registered an open one (`7+`) is for the version 7
 * of its operator: where a newer opset has a newer version, ONNX Runtime does not take it. Which versions there are is read
 * from the CPU's list, which has a kernel for each. Operators of other domains than ai.onnx have one version.
 *
 * @param op qualified operator
 */
function kernelsFor(list: KernelList, op: string, opset: number): Kernel[] {
  const isExact = REGISTERED.includes(list.device) && !op.includes(':')
  return (list.kernels.get(op) ?? []).filter(({ from, to }) => {
    const end = isExact && to === Number.POSITIVE_INFINITY ? versionEnd(op, from) : to
    return opset >= from && opset <= end
  })
}

/** The last opset in which `op` is what it was in `from`. */
function versionEnd(op: string, from: number): number {
  const newer = (kernelList('cpu')?.kernels.get(op) ?? []).map((kernel) => kernel.from).filter((start) => start > from)
  return newer.length ? Math.min(...newer) - 1 : Number.POSITIVE_INFINITY
}

/** Whether a list has a kernel for an operator of an opset, with this element type of its first operand (undefined: any). */
export function covers(list: KernelList, op: string, opset: number, dtype?: string): boolean {
  return kernelsFor(list, op, opset).some(({ types }) => !dtype || !types || types.includes(dtype))
}

/** The same by the name of the device; undefined where no list of it is known. */
export function hasKernel(device: string, op: string, opset: number, dtype?: string): boolean | undefined {
  const list = kernelList(device)
  return list && covers(list, op, opset, dtype)
}

/** Element types of the first operand that a list has kernels for in an opset; undefined where it does not tell. */
export function kernelTypes(list: KernelList, op: string, opset: number): readonly string[] | undefined {
  const types = kernelsFor(list, op, opset).map((kernel) => kernel.types)
  return types.length && !types.includes(undefined) ? [...new Set(types.flatMap((set) => set ?? []))].sort() : undefined
}
