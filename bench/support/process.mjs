// Runs commands as whole processes and measures what they take.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { performance } from 'node:perf_hooks'

const TICKS_PER_SECOND = 100

/**
 * Runs a command to its end.
 *
 * Node reads the certificates that `NODE_EXTRA_CA_CERTS` names at every start; as nothing here uses the network it is left out.
 *
 * @returns {Promise<{ seconds: number, cpuSeconds: number, peakBytes: number, output: string }>} wall time; time on processors, of
 *   all threads, which depends less on what else the machine does; the largest resident set that was
 *   seen (`VmHWM`, both polled every 5 ms, so what happens in the last moments may be missed; 0 where there is no /proc)
 */
export function measure(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const start = performance.now()
    const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env, ...options })
    let peakBytes = 0
    let cpuSeconds = 0
    let output = ''
    const poll = () => {
      try {
        const [, kilobytes] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8')) ?? []
        if (kilobytes) peakBytes = Math.max(peakBytes, Number(kilobytes) * 1024)
        const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1].split(' ')
        cpuSeconds = (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
      } catch {
        // It is gone, or this system has no /proc.
      }
    }
    const timer = setInterval(poll, 5)
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text))
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearInterval(timer)
      const seconds = (performance.now() - start) / 1000
      if (code === 0) resolve({ seconds, cpuSeconds, peakBytes, output })
      else reject(new Error(`${command} ${args.join(' ')}: ${signal ?? `exit code ${code}`}\n${output.slice(-2000)}`))
    })
  })
}

/** `0.50 s (0.48-0.61)`: median, least and most. */
export function spread(values, unit = 's', digits = 2) {
  const sorted = [...values].sort((a, b) => a - b)
  const text = (value) => value.toFixed(digits)
  return `${text(median(sorted))} ${unit} (${text(sorted[0])}-${text(sorted.at(-1))})`
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Prints rows of texts in columns, the first left, the others right. */
export function printTable(rows) {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => String(row[i]).length)))
  for (const row of rows)
    console.log(
      row.map((text, i) => (i ? String(text).padStart(widths[i]) : String(text).padEnd(widths[i]))).join('  '),
    )
}
