// The least a build can take: reads a file, hashes it, and writes as many bytes as the result has, hashing them too. Run as a
// process of its own: node bench/floor.mjs IN OUT BYTES
import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync, writeSync } from 'node:fs'

const [from, to, bytes] = process.argv.slice(2)
const buffer = Buffer.allocUnsafe(1 << 20)
const input = openSync(from, 'r')
const before = createHash('sha256')
for (let n = readSync(input, buffer); n > 0; n = readSync(input, buffer)) before.update(buffer.subarray(0, n))
before.digest()
closeSync(input)
const output = openSync(to, 'w')
const after = createHash('sha256')
for (let left = Number(bytes); left > 0; left -= buffer.length) {
  const piece = buffer.subarray(0, Math.min(left, buffer.length))
  after.update(piece)
  writeSync(output, piece)
}
after.digest()
closeSync(output)
