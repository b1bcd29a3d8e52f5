/** Verifications of what is stored, in the storage's thread; one at a time. */
import { WeirError } from '../errors/errors.ts'
import type { EmbeddedStorage } from '../storage/embedded-storage.ts'
import type { Verification } from '../storage/verify.ts'
import type { Random } from '../world/world.ts'

export interface VerificationStatus {
  state: 'running' | 'done' | 'failed'
  problem: string | undefined
  progress: Verification | undefined
}

/** How many are remembered. */
const STATUSES_MAX = 100

export class Verifications {
  readonly #storage: EmbeddedStorage
  readonly #random: Random
  readonly #statuses = new Map<string, VerificationStatus>()
  #isRunning = false

  constructor(storage: EmbeddedStorage, random: Random) {
    this.#storage = storage
    this.#random = random
  }

  /** Returns its id at once. Errors: VERIFICATION_RUNNING. */
  start(): string {
    if (this.#isRunning) throw new WeirError('VERIFICATION_RUNNING')
    this.#isRunning = true
    const id = Buffer.from(this.#random.bytes(9)).toString('base64url')
    const status: VerificationStatus = { state: 'running', problem: undefined, progress: undefined }
    this.#statuses.set(id, status)
    for (const oldest of this.#statuses.keys()) {
      if (this.#statuses.size <= STATUSES_MAX) break
      this.#statuses.delete(oldest)
    }
    this.#storage
      .verify((progress) => (status.progress = progress))
      .then(
        () => (status.state = 'done'),
        (error: unknown) => {
          status.problem = String(error)
          status.state = 'failed'
        },
      )
      .finally(() => (this.#isRunning = false))
    return id
  }

  status(id: string): VerificationStatus | undefined {
    return this.#statuses.get(id)
  }
}
