import { existsSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Browser, chromium } from 'playwright-core'

/** The browser to test with: CHROMIUM_PATH, or where Linux distributions put it. */
export const chromiumPath: string | undefined = [process.env['CHROMIUM_PATH'], '/usr/bin/chromium'].find(
  (path) => path && existsSync(path),
)

/** A headless Chromium. `webgpu` gives it the software adapter (without shader-f16). */
export function launchChromium({ webgpu = false }: { webgpu?: boolean } = {}): Promise<Browser> {
  const gpu = webgpu ? ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'] : ['--disable-gpu']
  // Containers run tests as root, where Chromium's sandbox does not start.
  return chromium.launch({ executablePath: chromiumPath!, args: ['--no-sandbox', ...gpu] })
}

/** Content of a URL path, or undefined for 404. */
export type Serve = (path: string) => { body: Uint8Array | string; type: string } | undefined

/** A local server; `isolated` sends the headers that threads need. Returns its address and how to stop it. */
export async function serve(
  files: Serve,
  { isolated = false }: { isolated?: boolean } = {},
): Promise<{ origin: string; requests: string[]; close(): Promise<void> }> {
  const requests: string[] = []
  const server: Server = createServer((request, response) => {
    const path = new URL(request.url!, 'http://localhost').pathname
    requests.push(path)
    const file = files(path)
    if (isolated) {
      response.setHeader('cross-origin-opener-policy', 'same-origin')
      response.setHeader('cross-origin-embedder-policy', 'require-corp')
    }
    if (file) response.setHeader('content-type', file.type).end(file.body)
    else response.writeHead(404).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    requests,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}
