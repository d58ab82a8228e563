import { basename, dirname, join, resolve } from 'node:path'
import { decodeFile, forEachTensor } from '../onnx/decode.ts'
import { mayNameFiles } from './external-files.ts'
import { lstat, readdir, realpath, remove } from './quick-files.ts'

/** `TensorProto.data_location` for data in another file. */
const EXTERNAL = 1

/**
 * Data files beside a model that is about to be replaced: absolute paths of those that it names, in its own folder.
 * None where it is no model.
 */
export async function dataBeside(model: string): Promise<string[]> {
  if (!(await isFile(model))) return []
  const locations = new Set<string>()
  try {
    if (!mayNameFiles(model)) return []
    forEachTensor(decodeFile(model), ({ dataLocation, externalData = [] }) => {
      if (dataLocation !== EXTERNAL) return
      for (const { key, value } of externalData) if (key === 'location' && value) locations.add(value)
    })
  } catch {
    return []
  }
  const files = [...locations].filter((location) => basename(location) === location)
  return files.map((location) => resolve(dirname(model), location))
}

/**
 * Removes what a replaced model has left behind. Only a file with the name that a build gives to this model's data is surely one of
 * ours, and only if no other model of the folder may need it.
 *
 * @param files what the old model named, see {@link dataBeside}
 * @param inUse files that stay in any case
 * @returns files that nothing seems to need, but that stay as somebody else may have put them there
 */
export async function removeOrphans(
  model: string,
  files: readonly string[],
  inUse: ReadonlySet<string>,
): Promise<string[]> {
  const left: string[] = []
  for (const file of files) {
    if (inUse.has(file) || !(await isFile(file)) || inUse.has(await realpath(file))) continue
    if (await isNamedElsewhere(file, model)) continue
    const [own, name] = [basename(model), basename(file)]
    if (name.startsWith(`${own}_data`) && /^(?:_\d+)?$/.test(name.slice(`${own}_data`.length)))
      await remove(file).catch(() => left.push(file))
    else left.push(file)
  }
  return left
}

/** True if another model of the folder names the file, or can't be read. */
async function isNamedElsewhere(file: string, model: string): Promise<boolean> {
  const folder = dirname(model)
  for (const name of await readdir(folder)) {
    const other = join(folder, name)
    if (!name.endsWith('.onnx') || other === model) continue
    try {
      if (mayNameFiles(other, basename(file))) return true
    } catch {
      return true
    }
  }
  return false
}

async function isFile(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined)
  return found?.isFile() === true
}
