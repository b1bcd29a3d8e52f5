/** Verifications of what is stored, in the storage's thread; one at a time. */
import type { VerificationStatus } from '../api/api.ts'
import { WeirError } from '../errors/errors.ts'
import type { EmbeddedStorage } from '../storage/embedded-storage.ts'
import type { Random } from '../world/world.ts'
import { JobStatuses } from './job-statuses.ts'

export class Verifications {
  readonly #storage: EmbeddedStorage
  readonly #statuses: JobStatuses<VerificationStatus>
  #isRunning = false

  constructor(storage: EmbeddedStorage, random: Random) {
    this.#storage = storage
    this.#statuses = new JobStatuses(random)
  }

  /** Returns its id at once. Errors: VERIFICATION_RUNNING. */
  start(): string {
    if (this.#isRunning) throw new WeirError('VERIFICATION_RUNNING')
    this.#isRunning = true
    const status: VerificationStatus = { state: 'running', problem: undefined, progress: undefined }
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
    return this.#statuses.add(status)
  }

  status(id: string): VerificationStatus | undefined {
    return this.#statuses.get(id)
  }
}
