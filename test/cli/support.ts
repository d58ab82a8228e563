import { main } from '../../src/cli/main.ts'

/** Runs the program in this process, with what it writes caught. */
export async function cli(cwd: string, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = []
  const err: string[] = []
  const code = await main(args, {
    out: (line) => out.push(line),
    err: (line) => err.push(line),
    isTerminal: false,
    cwd,
  })
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are made of them
  const plain = (lines: string[]) => lines.join('\n').replace(/\x1b\[\d+m/g, '')
  return { code, out: plain(out), err: plain(err) }
}
