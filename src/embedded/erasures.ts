/** Erasures over all parts of an installation, in turn; what a crash cut off goes on. */
import type { ErasureDesk, ErasureReceipt, ErasureStatus } from '../api/api.ts'
import type { Events } from '../observe/observe.ts'
import type { ErasedFile, Erasure } from '../storage/erasure-tables.ts'
import type { Clock, Random } from '../world/world.ts'
import type { AlertStage } from './alert-stage.ts'
import { InstanceKey } from './instance-key.ts'
import { isoTime } from './iso-time.ts'
import type { Threads } from './start-threads.ts'

/** What has no beginning begins here: 1684. */
const EVER_US = -9e15
const RETRY_MS = 10_000

export interface ErasuresParts {
  folder: string
  threads: Pick<Threads, 'storage' | 'gateway'>
  alerts: Pick<AlertStage, 'erase'>
  clock: Clock
  random: Random
  events: Events | undefined
  /** What the stream holds of a device is forgotten so long behind its last reading, µs. */
  stateTtlUs: number
  flush: () => Promise<void>
}

export class Erasures implements ErasureDesk {
  readonly #parts: ErasuresParts
  readonly #problems = new Map<string, string>()
  #work: Promise<void> = Promise.resolve()
  #isStopped = false

  constructor(parts: ErasuresParts) {
    this.#parts = parts
  }

  /** What was asked for and is not done. */
  async resume(): Promise<void> {
    for (const { id, receipt } of await this.#parts.threads.storage.erasures()) {
      if (receipt === undefined) this.#enqueue(id)
    }
  }

  async start(
    tenant: string,
    deviceIds: string[],
    span: { fromUs: number | undefined; toUs: number | undefined },
  ): Promise<string> {
    const { threads, clock, random } = this.#parts
    const nowUs = clock.nowUs()
    const erasure: Erasure = {
      id: Buffer.from(random.bytes(12)).toString('base64url'),
      ...{ tenant, deviceIds, requestedAtUs: nowUs, events: 0, receipt: undefined },
      ...{ fromUs: span.fromUs ?? EVER_US, toUs: span.toUs ?? nowUs },
    }
    await threads.storage.beginErasure(erasure)
    this.#enqueue(erasure.id)
    return erasure.id
  }

  async find(tenant: string, id: string): Promise<ErasureStatus | undefined> {
    const all = await this.#parts.threads.storage.erasures()
    const erasure = all.find((one) => one.id === id && one.tenant === tenant)
    if (erasure === undefined) return undefined
    const { receipt } = erasure
    const problem = this.#problems.get(id)
    return {
      state: receipt !== undefined ? 'done' : problem === undefined ? 'running' : 'failed',
      problem,
      receipt: receipt === undefined ? undefined : (JSON.parse(receipt) as ErasureReceipt),
    }
  }

  #enqueue(id: string): void {
    this.#work = this.#work.then(() => this.#run(id))
  }

  async #run(id: string): Promise<void> {
    if (this.#isStopped) return
    try {
      await this.#erase(id)
      this.#problems.delete(id)
    } catch (error) {
      // A stop ends it; the next start goes on.
      if (this.#isStopped) return
      this.#problems.set(id, String(error))
      this.#parts.events?.erasureFailed({ id, problem: String(error) })
      this.#parts.clock.after(RETRY_MS, () => this.#enqueue(id))
    }
  }

  async #erase(id: string): Promise<void> {
    const { threads, alerts, clock, flush, folder } = this.#parts
    const logBegin = await threads.gateway.beginLogFile()
    // What is on its way is in segments then, or left out of them.
    await flush()
    const { erasure, files } = await threads.storage.runErasure(id)
    const erasedAlerts = await alerts.erase(erasure)
    const logFrom = await threads.gateway.forgetLogBefore(logBegin)
    const body = {
      ...{ id, tenant: erasure.tenant, devices: erasure.deviceIds },
      from: erasure.fromUs === EVER_US ? null : isoTime(erasure.fromUs),
      to: isoTime(erasure.toUs),
      requested_at: isoTime(erasure.requestedAtUs),
      finished_at: isoTime(clock.nowUs()),
      files: files.filter((file) => !isFrozen(file)).map(fileJson),
      frozen: files
        .filter(isFrozen)
        .map(({ file, crcBefore }) => ({ file, crc32: crcBefore ?? null })),
      dead_letters_and_anomalies: erasure.events,
      alerts: { removed: erasedAlerts.removed, still_firing: erasedAlerts.stillFiring },
      log: { entries_before: logFrom },
      stream_forgets_by: isoTime(clock.nowUs() + this.#parts.stateTtlUs),
      backups: await threads.storage.knownBackups(),
      not_erased: NOT_ERASED,
    }
    const key = await InstanceKey.open(folder)
    const receipt: ErasureReceipt = { erasure: body, ...key.sign(JSON.stringify(body)) }
    await threads.storage.finishErasure(id, JSON.stringify(receipt))
    this.#parts.events?.erasureDone({ id, files: files.length })
  }

  /** What is under way goes on at the next start. */
  stop(): void {
    this.#isStopped = true
  }
}

/** Said on every receipt. */
const NOT_ERASED = [
  'backups made before: they hold it until `weir backup prune` removes them; those known are listed',
  'frozen: files in the archive of the bucket; what they hold of it is not shown, and goes when the bucket deletes them, or by erasing again when they were asked back',
  'the registry’s entry of the device',
  'words of text metrics, which stay in the dictionary without a reference to a device',
  'what devices sent of it again since: in the newest file of the log, until that is full',
]

const isFrozen = ({ place }: ErasedFile): boolean => place === 'frozen'

const fileJson = ({ file, place, crcBefore, fileAfter, crcAfter, rows }: ErasedFile) => ({
  ...{ file, place, rows },
  crc32_before: crcBefore ?? null,
  file_after: fileAfter ?? null,
  crc32_after: crcAfter ?? null,
})
