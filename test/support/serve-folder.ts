import { existsSync, readFileSync, statSync } from 'node:fs'
import { extname, join, normalize } from 'node:path'
import { serve } from './chromium.ts'

const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
  '.wasm': 'application/wasm',
}

const PAGE = '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/main.js"></script>'

/** Serves a folder as a plain web server does; `/` is a page that loads `main.js` where the folder has none of its own. */
export function serveFolder(folder: string): ReturnType<typeof serve> {
  return serve((path) => {
    const file = join(folder, normalize(decodeURIComponent(path === '/' ? '/index.html' : path)))
    if (file.startsWith(folder) && existsSync(file) && statSync(file).isFile())
      return { body: readFileSync(file), type: TYPES[extname(file)] ?? 'application/octet-stream' }
    return path === '/' ? { body: PAGE, type: 'text/html' } : undefined
  })
}
