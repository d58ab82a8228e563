import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { OnnxError } from '../onnx/errors.ts'

/**
 * Files that the operands name: a path as it is (also one with glob letters in it), or a glob.
 *
 * @returns absolute paths, each once, globs' results sorted
 * @throws OnnxError `MODEL_NOT_FOUND` for an operand that names nothing
 */
export async function findModels(operands: readonly string[], cwd: string): Promise<string[]> {
  const found = new Set<string>()
  for (const operand of operands) {
    const path = resolve(cwd, operand)
    const files = existsSync(path) ? [path] : await globbed(operand, cwd)
    if (files.length === 0)
      throw new OnnxError('MODEL_NOT_FOUND', `there is no model '${operand}'`, { hint: `Looked in ${cwd}.` })
    for (const file of files) found.add(resolve(file))
  }
  return [...found]
}

async function globbed(pattern: string, cwd: string): Promise<string[]> {
  if (!/[*?[\]{}()!]/.test(pattern)) return []
  const { glob } = await import('tinyglobby')
  return (await glob(pattern.replaceAll('\\', '/'), { cwd, absolute: true })).sort()
}
