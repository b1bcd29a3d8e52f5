/**
 * Erasures over all parts of a cluster. Any control process takes a request and says how far it is;
 * one, by a lease, does the work, and whoever has the lease next goes on with it.
 *
 *   listed ─▶ hidden in every store, then from kept answers ─▶ 202
 *          ─▶ rows and cold files of each store ─▶ files of the lake's commits ─▶ alerts ─▶ receipt
 *
 * Each step may be done again: what is gone is not found, and what went is noted where it was.
 */
import type { ErasureDesk, ErasureReceipt, ErasureStatus } from '../api/api.ts'
import type { OpenAlerts } from '../alerts/open-alerts.ts'
import { InstanceKey } from '../embedded/instance-key.ts'
import { hashDevice } from '../entries/entries.ts'
import { WeirError } from '../errors/errors.ts'
import { eraseFromCommits } from '../lake/lake.ts'
import type { Objects } from '../objects/objects.ts'
import type { ErasureList, ListedErasure } from '../postgres/erasure-list.ts'
import type { Erasure } from '../postgres/erasure-tables.ts'
import { Leases, openLeases } from '../postgres/lease.ts'
import { openStoreEraser, type StoreEraser } from '../postgres/store-eraser.ts'
import { nodeWorld } from '../world/node-world.ts'
import { postgresAccess, storeAccesses } from './accesses.ts'
import type { Shared } from './cluster.ts'
import { EVER_US, receiptOf } from './erasure-receipt.ts'
import { Repeating } from './repeating.ts'
import { coldName, COMMITS_LEASE } from './retention.ts'
import { openLakeObjects } from './lake-objects.ts'
import { whileLeased } from './while-leased.ts'

const RETRY_MS = 10_000
const { clock, random } = nodeWorld

interface ErasuresParts {
  shared: Shared
  list: ErasureList
  alerts: Pick<OpenAlerts, 'erase'>
  /** At `postgres.url`. */
  leases: Leases
  stores: readonly StoreEraser[]
  /** In the first store. */
  commitLeases: Leases
  /** Undefined without a lake. */
  objects: Objects | undefined
}

/** Errors: CONFIG_VALUE_INVALID, STORAGE_UNAVAILABLE, DATA_FORMAT_NEWER. */
export async function openErasures(
  shared: Shared,
  parts: Pick<ErasuresParts, 'list' | 'alerts'>,
): Promise<Erasures> {
  const { config } = shared
  const accesses = storeAccesses(config)
  const leases = await openLeases(postgresAccess(config))
  const objects = openLakeObjects(config)
  const stores = accesses.map((access) =>
    openStoreEraser({ place: access.place, clock, objects, name: coldName(access) }),
  )
  const commitLeases = new Leases(accesses[0]!.place)
  return new Erasures({ ...parts, shared, leases, objects, stores, commitLeases })
}

export class Erasures implements ErasureDesk {
  readonly #parts: ErasuresParts
  readonly #work: Repeating
  #restUntilMs = -Infinity

  constructor(parts: ErasuresParts) {
    this.#parts = parts
    this.#work = new Repeating({
      clock,
      run: (isStopping) => this.#run(isStopping),
      failed: (error) =>
        parts.shared.events?.roleFailed({ role: 'erasures', problem: String(error) }),
    })
  }

  /** It begins to work on what was asked for. */
  begin(): void {
    this.#work.start()
  }

  /** What is under way is cut off, and the next one goes on. */
  async stop(): Promise<void> {
    const { stores, leases, commitLeases, objects } = this.#parts
    const stopped = this.#work.stop()
    await Promise.all(stores.map((store) => store.close()))
    await stopped
    await Promise.all([leases, commitLeases].map((one) => one.close()))
    objects?.close()
  }

  async start(
    tenant: string,
    deviceIds: string[],
    span: { fromUs: number | undefined; toUs: number | undefined },
  ): Promise<string> {
    const requestedAtUs = clock.nowUs()
    const listed: ListedErasure = {
      id: Buffer.from(random.bytes(12)).toString('base64url'),
      ...{ tenant, deviceIds, requestedAtUs },
      ...{ fromUs: span.fromUs ?? EVER_US, toUs: span.toUs ?? requestedAtUs },
    }
    await this.#parts.list.begin(listed)
    await this.#hide(withHashes(listed)).catch((cause: unknown) => {
      throw notHidden(listed.id, cause)
    })
    return listed.id
  }

  async find(tenant: string, id: string): Promise<ErasureStatus | undefined> {
    const found = await this.#parts.list.find(tenant, id)
    if (found === undefined) return undefined
    const { problem, receipt } = found
    return {
      state: receipt !== undefined ? 'done' : problem === undefined ? 'running' : 'failed',
      problem,
      receipt: receipt === undefined ? undefined : (JSON.parse(receipt) as ErasureReceipt),
    }
  }

  /** In all stores before answers of before are taken back, or they would be given again. */
  async #hide(erasure: Erasure): Promise<void> {
    const { stores, list } = this.#parts
    await Promise.all(stores.map((store) => store.hide(erasure)))
    await list.hideHere(erasure)
  }

  async #run(isStopping: () => boolean): Promise<void> {
    const { list, leases } = this.#parts
    if (clock.monotonicMs() < this.#restUntilMs || (await list.undone()).length === 0) return
    const claim = () => leases.claim('erasures')
    await whileLeased({ claim, isStopping }, async (_, isOver) => {
      // What the last holder has done meanwhile is not done again.
      for (const one of await list.undone()) {
        if (isOver()) return
        await this.#try(one, isOver)
      }
    })
  }

  /** One that fails does not hold up the others. */
  async #try(listed: ListedErasure, isOver: () => boolean): Promise<void> {
    const { list, shared } = this.#parts
    try {
      await this.#erase(listed, isOver)
    } catch (error) {
      if (isOver()) return
      const problem = error instanceof WeirError ? `${error.code}: ${error.message}` : String(error)
      this.#restUntilMs = clock.monotonicMs() + RETRY_MS
      shared.events?.erasureFailed({ id: listed.id, problem })
      await list.fail(listed.id, problem)
    }
  }

  /** Unless something of it is somebody else's turn: then it goes on with the next look. */
  async #erase(listed: ListedErasure, isOver: () => boolean): Promise<void> {
    const { list, stores, alerts, shared } = this.#parts
    const { id, tenant, deviceIds, fromUs, toUs } = listed
    const erasure = withHashes(listed)
    await this.#hide(erasure)
    for (const store of stores) if (!(await store.run(erasure, isOver))) return
    if (!(await this.#eraseCommits(listed, isOver))) return
    const erasedAlerts = await alerts.erase({ tenant, deviceIds, fromUs, toUs })
    const ofStores = await Promise.all(stores.map((store) => store.erased(id)))
    const files = [...ofStores, await list.erased(id)].flatMap((one) => one.files)
    const erased = {
      alerts: erasedAlerts,
      rows: ofStores.flatMap(({ rows }) => [...rows]),
      // One of the stores may be at `postgres.url`.
      files: [...new Map(files.map((file) => [file.key, file])).values()],
    }
    const body = await receiptOf(shared, listed, erased)
    const key = InstanceKey.ofPem(await list.key(() => InstanceKey.createPem()))
    const receipt: ErasureReceipt = { erasure: body, ...key.sign(JSON.stringify(body)) }
    await list.finish(id, JSON.stringify(receipt))
    shared.events?.erasureDone({ id, files: erased.files.length })
  }

  /** False when it did not come to its end. */
  async #eraseCommits(listed: ListedErasure, isOver: () => boolean): Promise<boolean> {
    const { objects, commitLeases, list } = this.#parts
    if (objects === undefined) return true
    let isDone = false
    const claim = () => commitLeases.claim(COMMITS_LEASE)
    await whileLeased({ claim, isStopping: isOver }, async (_, isEnding) => {
      await eraseFromCommits(
        {
          ...{ objects, clock, random, isOver: isEnding },
          note: ({ key, isFrozen, crcBefore, crcAfter, rows }) =>
            list.noteFile(listed.id, {
              ...{ key, crcBefore, crcAfter, rows, place: isFrozen ? 'frozen' : 'commit' },
              keyAfter: crcAfter === undefined ? undefined : key,
            }),
        },
        listed,
      )
      isDone = !isEnding()
    })
    return isDone
  }
}

/** It is listed, and will be carried out: whoever has asked is told how to ask for its receipt. */
function notHidden(id: string, cause: unknown): unknown {
  if (!(cause instanceof WeirError)) return cause
  const detail = `${cause.message}. Noted as erasure ${id}, which goes on when that is over`
  const problem = { ...(cause.details['problem'] as object | undefined), id }
  return new WeirError(cause.code, detail, { cause, details: { ...cause.details, problem } })
}

const withHashes = ({ id, tenant, deviceIds, fromUs, toUs }: ListedErasure): Erasure => ({
  ...{ id, tenant, fromUs, toUs },
  devices: deviceIds.map((deviceId) => ({
    deviceId,
    deviceHash: hashDevice(tenant, deviceId),
  })),
})
