/** A store for the API's tests: it holds what it is told to hold, and makes no backups. */
import { WeirError } from '../../errors/errors.ts'
import type {
  PrunedBackups,
  BackupStatus,
  StorageDesk,
  StorageReport,
  VerificationStatus,
} from '../api.ts'
import type { ArchiveQuestion, ArchiveStatus, LifecycleStatus } from '../api.ts'

export class MemoryStorage implements StorageDesk {
  flushes = 0
  exportedBeforeUs: number | undefined
  readonly backups = new Map<string, BackupStatus>()

  async report(): Promise<StorageReport> {
    const span = { oldestUs: 1_000_000, newestUs: 2_000_000 }
    return {
      tiers: [
        { tier: 'hot', files: 1, rows: 10, bytes: 100, ...span },
        { tier: 'cold', files: 0, rows: 0, bytes: 0, oldestUs: undefined, newestUs: undefined },
      ],
      ...{ readingsInMemory: 3, segmentsDamaged: 0, mergeDebt: 0 },
      ...{ diskFreeBytes: 1e9, bytesPerDay: 1e8, diskFullInDays: 10 },
    }
  }

  async flush(): Promise<void> {
    this.flushes++
  }

  async confirmExported(beforeUs: number): Promise<void> {
    this.exportedBeforeUs = beforeUs
  }

  async startBackup(to: string): Promise<string> {
    if (!to.startsWith('/')) throw new WeirError('API_PARAMETER_INVALID', `to: found "${to}"`)
    const id = String(this.backups.size + 1)
    this.backups.set(id, {
      state: 'running',
      name: undefined,
      problem: undefined,
      progress: undefined,
    })
    return id
  }

  async startVerification(): Promise<string> {
    return 'v1'
  }

  async verification(id: string): Promise<VerificationStatus | undefined> {
    const damaged = [{ file: 'a', problem: 'its checksum differs', rows: 3 }]
    const counts = { filesDone: 2, filesTotal: 2, bytesDone: 20, bytesTotal: 20 }
    const progress = { ...counts, damaged }
    return id === 'v1' ? { state: 'done', problem: undefined, progress } : undefined
  }

  async pruneBackups(_to: string, keep: number): Promise<PrunedBackups> {
    const names = [...this.backups.keys()]
    return { removed: names.slice(0, -keep), kept: names.slice(-keep), pieces: 3, bytes: 100 }
  }

  readonly restores: { question: ArchiveQuestion; days: number }[] = []
  #isRuleSet = false

  async lifecycle(): Promise<LifecycleStatus> {
    const freeze = { afterDays: 365, storageClass: 'GLACIER' }
    const configured = { freeze, expireAfterDays: undefined }
    return { found: this.#isRuleSet ? configured : undefined, configured }
  }

  setLifecycle(): Promise<LifecycleStatus> {
    this.#isRuleSet = true
    return this.lifecycle()
  }

  async archived(): Promise<ArchiveStatus> {
    const isAsked = this.restores.length > 0
    const [some, none] = [
      { files: 2, bytes: 20 },
      { files: 0, bytes: 0 },
    ]
    const { frozen, thawing } = isAsked
      ? { frozen: none, thawing: some }
      : { frozen: some, thawing: none }
    return { readable: { files: 1, bytes: 5 }, frozen, thawing, missing: none }
  }

  restoreArchived(question: ArchiveQuestion, days: number): Promise<ArchiveStatus> {
    this.restores.push({ question, days })
    return this.archived()
  }

  async backup(id: string): Promise<BackupStatus | undefined> {
    return this.backups.get(id)
  }
}
