import type { ParamTable } from '../params/spec.ts'

/** Where a command writes and what it knows of its surroundings. Tests give their own. */
export interface Io {
  out(line: string): void
  err(line: string): void
  /** True if `err` is a terminal, where a progress bar can live. */
  isTerminal: boolean
  /** Folder that relative paths are meant from. */
  cwd: string
}

/** A parsed command line. */
export interface Invocation {
  operands: readonly string[]
  /** Flags of the command itself, checked. */
  flags: Readonly<Record<string, unknown>>
  /** Parameters of builds, checked one by one; from `--query` and the flags, which come last. */
  params: Readonly<Record<string, unknown>>
}

/** One command: everything but its code, which is loaded when it runs. */
export interface Command {
  name: string
  summary: string
  /** Operands as the usage line shows them, e.g. `MODEL...`. */
  operands: { usage: string; min: number; max: number }
  flags: ParamTable
  /** Whether it takes the parameters of builds as flags. */
  takesParams: boolean
  examples: readonly string[]
  load(): Promise<{ run(invocation: Invocation, io: Io): Promise<number> }>
}

/** Exit codes: all well, something failed, the command line is wrong. */
export const EXIT = { ok: 0, failed: 1, usage: 2 } as const

/** One-letter forms of flags, by flag. */
export const SHORT_FLAGS: Readonly<Record<string, string>> = { out: 'o', query: 'q', help: 'h' }
