import { resolve } from 'node:path'
import { OnnxError } from '../onnx/errors.ts'
import { cacheSettings } from '../options/index.ts'
import { nearest } from '../params/nearest.ts'
import { cacheFolders, DEFAULT_LIMITS, Store, type StoredEntry } from '../pipeline/index.ts'
import { formatBytes } from '../report/index.ts'
import { EXIT, type Invocation, type Io } from './command.ts'
import { loadConfig } from './config.ts'

const ACTIONS = ['ls', 'prune', 'clear'] as const

/** `cache ls|prune|clear`: the local cache of a project. */
export async function run({ operands, flags }: Invocation, io: Io): Promise<number> {
  const action = ACTIONS.find((name) => name === operands[0])
  if (!action) {
    const near = nearest(operands[0]!, ACTIONS)
    throw new OnnxError('USAGE', `\`cache\` takes ls, prune or clear, not '${operands[0]}'`, {
      ...(near ? { hint: `Did you mean '${near}'?` } : {}),
    })
  }
  const root = resolve(io.cwd, (flags['root'] as string | undefined) ?? '.')
  const plugin = await loadConfig(flags['config'], io.cwd, root)
  const settings = cacheSettings(plugin)
  const [folder] = cacheFolders(root, (flags['dir'] as string | undefined) ?? (settings ? settings.dir : undefined))
  const store = new Store(folder!)
  const entries = await store.ls()
  if (action === 'ls') {
    if (flags['json']) io.out(JSON.stringify({ folder, entries }, undefined, 2))
    else {
      for (const entry of entries) io.out(entryLine(entry))
      io.out(
        `${entries.length} ${entries.length === 1 ? 'entry' : 'entries'}, ${formatBytes(total(entries))} in ${folder}`,
      )
    }
    return EXIT.ok
  }
  const removed = action === 'prune' ? await prune(store, flags, settings ? settings : {}) : entries
  if (action === 'clear') await store.clear()
  if (flags['json']) io.out(JSON.stringify({ folder, removed }, undefined, 2))
  else io.out(`removed ${removed.length} of ${entries.length} entries, ${formatBytes(total(removed))} from ${folder}`)
  return EXIT.ok
}

async function prune(
  store: Store,
  flags: Invocation['flags'],
  settings: { maxAge?: number | undefined; maxBytes?: number | undefined },
): Promise<StoredEntry[]> {
  const days = flags['maxAgeDays'] as number | undefined
  const { removed } = await store.prune({
    maxAge: days === undefined ? (settings.maxAge ?? DEFAULT_LIMITS.maxAge) : days * 86_400_000,
    maxBytes: (flags['maxBytes'] as number | undefined) ?? settings.maxBytes ?? DEFAULT_LIMITS.maxBytes,
  })
  return removed
}

function entryLine({ key, name, bytes, lastUsed }: StoredEntry): string {
  return `${key.slice(0, 12)}  ${formatBytes(bytes).padStart(9)}  ${new Date(lastUsed).toISOString().slice(0, 16).replace('T', ' ')}  ${name}`
}

function total(entries: readonly StoredEntry[]): number {
  return entries.reduce((sum, { bytes }) => sum + bytes, 0)
}
