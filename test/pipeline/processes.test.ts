import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { contentHash } from '../../src/pipeline/content-hash.ts'
import { bigModel, bundleWorker, Project, request } from './support/project.ts'

type Bundle = Awaited<ReturnType<typeof bundleWorker>>
let script: Bundle
let worker: Bundle
beforeAll(async () => {
  script = await bundleWorker(join(import.meta.dirname, 'support/process.ts'))
  worker = await bundleWorker(join(import.meta.dirname, 'support/worker.ts'))
})
afterAll(() => {
  script.remove()
  worker.remove()
})

/** Builds in another process; killed after `killAfter` milliseconds, if given. What it printed, if it got that far. */
function build(
  project: Project,
  file: string,
  killAfter?: number,
): Promise<{ hash: string; cache: string } | undefined> {
  const args = [fileURLToPath(script.url), project.root, file, worker.url.href, 'a']
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  if (killAfter !== undefined) setTimeout(() => child.kill('SIGKILL'), killAfter)
  let output = ''
  child.stdout.on('data', (text) => {
    output += text
  })
  return new Promise((resolve) => child.on('close', () => resolve(output ? JSON.parse(output) : undefined)))
}

test('many processes at once, some of them killed: every artifact is whole', async () => {
  const project = new Project()
  const file = project.write('m.onnx', bigModel(20 << 20))
  const results = await Promise.all([
    build(project, file),
    build(project, file),
    ...[120, 180, 240, 300].map((ms) => build(project, file, ms)),
  ])
  const finished = results.filter((result) => result !== undefined)
  expect(finished.length).toBeGreaterThanOrEqual(2)
  const after = await project.pipeline().build(request(file, { stamp: 'a', repeat: 2000 }))
  expect(after.report.cache).toBe('hit')
  expect(new Set([after.model.hash, ...finished.map(({ hash }) => hash)]).size).toBe(1)
  expect(contentHash(readFileSync(after.model.file))).toBe(after.model.hash)
  expect(project.ls('entries')).toEqual([after.key])
})

test('a process with idle workers ends by itself', async () => {
  const project = new Project()
  expect((await build(project, project.write('m.onnx', bigModel())))?.cache).toBe('miss')
})
