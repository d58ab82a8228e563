// Where the bench finds models and the Python peers.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '../..')
const shared = resolve(root, '../shared')

export const cli = join(root, 'dist/cli.cjs')

/** The interpreter that has the peers' packages (`PEERS_PYTHON`, or `.peers/bin/python`), if there is one. */
export function peersPython() {
  const found = process.env['PEERS_PYTHON'] ?? join(root, '.peers/bin/python')
  return existsSync(found) ? found : undefined
}

/** The script that runs one job of one peer, if it is there. */
export function peersScript() {
  const found = join(shared, 'peers/peers.py')
  return existsSync(found) ? found : undefined
}

/**
 * Path of a model by its name: a path, a model of `shared/models/own`, or `bert-base`, which is filled with random
 * weights in the temporary folder (this takes Python). Undefined, with a line that says so, where it can't be had.
 */
export function findModel(name) {
  if (existsSync(name)) return resolve(name)
  const own = join(shared, `models/own/${name}.onnx`)
  if (existsSync(own)) return own
  const skeleton = join(shared, `models/own/${name}.skeleton`)
  const made = join(tmpdir(), 'unplugin-onnx-bench', `${name}.onnx`)
  if (existsSync(made)) return made
  const python = peersPython()
  if (!existsSync(skeleton) || !python) {
    console.log(
      `${name}: skipped, there is no such model here${existsSync(skeleton) ? ' (making it takes PEERS_PYTHON)' : ''}`,
    )
    return undefined
  }
  mkdirSync(dirname(made), { recursive: true })
  execFileSync(python, [join(shared, 'models/make_big.py'), skeleton, made], { stdio: 'inherit' })
  return made
}
