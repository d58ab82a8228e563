import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join } from 'node:path'
import { predict } from './predict.ts'

const client = join(import.meta.dirname, '../client')
const types: Record<string, string> = { '.js': 'text/javascript', '.wasm': 'application/wasm' }

const server = createServer(async ({ url = '/' }, response) => {
  const { pathname } = new URL(url, 'http://localhost')
  if (pathname === '/') {
    const page = await readFile(join(client, 'index.html'), 'utf8')
    response.setHeader('content-type', 'text/html').end(page.replace('<!--prediction-->', await predict()))
    return
  }
  const file = await readFile(join(client, pathname)).catch(() => undefined)
  response.statusCode = file ? 200 : 404
  response.setHeader('content-type', types[extname(pathname)] ?? 'application/octet-stream').end(file)
})

server.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1', () => {
  const address = server.address()
  if (address && typeof address === 'object') console.log(`http://127.0.0.1:${address.port}/`)
})
