/**
 * A client's own file of secrets (mode 600). Weir keeps tokens as hashes only and shows each one
 * once, so a simulated fleet that wants to come back must remember its own.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { WeirError } from '../errors/errors.ts'

interface Contents {
  tokens: Record<string, string>
}

export class DeviceTokens {
  readonly #file: string | undefined
  readonly #contents: Contents

  /** Without a file, tokens live as long as the process. */
  constructor(file: string | undefined) {
    this.#file = file
    this.#contents = file !== undefined && existsSync(file) ? read(file) : { tokens: {} }
  }

  get(deviceId: string): string | undefined {
    return this.#contents.tokens[deviceId]
  }

  set(deviceId: string, token: string): void {
    this.#contents.tokens[deviceId] = token
  }

  save(): void {
    if (this.#file === undefined) return
    mkdirSync(dirname(this.#file), { recursive: true, mode: 0o700 })
    const temporary = `${this.#file}.new`
    writeFileSync(temporary, `${JSON.stringify(this.#contents, undefined, 2)}\n`, { mode: 0o600 })
    // The mode above is for new files only; a leftover may have another.
    chmodSync(temporary, 0o600)
    renameSync(temporary, this.#file)
  }
}

function read(file: string): Contents {
  try {
    const contents = JSON.parse(readFileSync(file, 'utf8')) as Partial<Contents>
    return { tokens: { ...contents.tokens } }
  } catch (cause) {
    throw new WeirError('DATA_FILE_DAMAGED', `${file} is not readable as JSON`, { cause })
  }
}
