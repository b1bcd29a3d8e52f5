/** What waits for each recipient, what it got of late, and when to plan again. */
import type { MessageRow, NoticeRow, PaceRow } from './alert-rows.ts'
import { deviceKeyOf as laneKeyOf, keyOf } from './alert-memory.ts'
import { planOutbox } from './outbox.ts'
import type { Directory } from './recipients.ts'

interface Lane {
  tenant: string
  pace: PaceRow
  /** In the order in which they came. */
  waiting: Map<string, NoticeRow>
  againUs: number
}

/** To be written, then to be applied. */
export interface PlannedLane {
  key: string
  messages: MessageRow[]
  notices: NoticeRow[]
  pace: PaceRow
  againUs: number | undefined
}

export interface LanesContext {
  directories: ReadonlyMap<string, Directory>
  nowUs: number
  lifeUs: number
  linkOf: (alertId: string | undefined) => string
  /** Keys of alerts of which nobody is told anything now. */
  snoozed: ReadonlySet<string>
}

export class OutboxLanes {
  readonly #lanes = new Map<string, Lane>()

  /** Notifications that wait for a token or the end of quiet hours. */
  get waiting(): number {
    return [...this.#lanes.values()].reduce((sum, { waiting }) => sum + waiting.size, 0)
  }

  /** When the next lane is to be planned; Infinity when none is. */
  get nextUs(): number {
    return [...this.#lanes.values()].reduce(
      (least, { againUs }) => Math.min(least, againUs),
      Infinity,
    )
  }

  dueTenants(nowUs: number): string[] {
    return [...this.#lanes.values()]
      .filter(({ againUs }) => againUs <= nowUs)
      .map(({ tenant }) => tenant)
  }

  load(notices: readonly NoticeRow[], paces: readonly PaceRow[]): void {
    this.#lanes.clear()
    for (const pace of paces) {
      this.#lanes.set(laneKeyOf(pace.tenant, pace.recipientId), {
        ...{ tenant: pace.tenant, pace, waiting: new Map(), againUs: Infinity },
      })
    }
    const inOrder = notices.toSorted(
      (one, other) => one.notification.createdAtUs - other.notification.createdAtUs,
    )
    for (const row of inOrder) {
      const lane = this.#laneOf(row)
      lane.waiting.set(row.id, row)
      lane.againUs = 0
      this.#lanes.set(laneKeyOf(row.tenant, row.recipientId), lane)
    }
  }

  #laneOf({ tenant, recipientId }: Pick<NoticeRow, 'tenant' | 'recipientId'>): Lane {
    const known = this.#lanes.get(laneKeyOf(tenant, recipientId))
    if (known !== undefined) return known
    const pace: PaceRow = { tenant, recipientId, revision: 0, takenUs: [], toldUs: {} }
    return { tenant, pace, waiting: new Map(), againUs: Infinity }
  }

  /** Of whom something is new, or due. Changes nothing here. */
  plan(fresh: readonly NoticeRow[], context: LanesContext): PlannedLane[] {
    const byLane = Map.groupBy(fresh, ({ tenant, recipientId }) => laneKeyOf(tenant, recipientId))
    for (const [key, { againUs }] of this.#lanes) {
      if (againUs <= context.nowUs && !byLane.has(key)) byLane.set(key, [])
    }
    return [...byLane].map(([key, rows]) => this.#planLane(key, rows, context))
  }

  #planLane(key: string, fresh: readonly NoticeRow[], context: LanesContext): PlannedLane {
    const { directories, snoozed, ...rest } = context
    const [first] = fresh
    const lane = this.#lanes.get(key) ?? this.#laneOf(first!)
    const { pace } = lane
    const all = [...lane.waiting.values()]
    const recipient = directories.get(lane.tenant)?.recipients.get(pace.recipientId)
    if (recipient === undefined || recipient.channels.length === 0) {
      const problem = 'the recipient is gone, or has no channel'
      const notices = [...all, ...fresh].map((row) => suppressed(row, problem))
      return { key, messages: [], notices, pace, againUs: undefined }
    }
    const isHeld = ({ tenant, notification }: NoticeRow): boolean =>
      snoozed.size > 0 && snoozed.has(keyOf({ tenant, id: notification.alert.id }))
    const held = all.filter(isHeld).map((row) => suppressed(row, 'snoozed'))
    const waiting = held.length === 0 ? all : all.filter((row) => !isHeld(row))
    const planned = planOutbox({ ...rest, recipient, pace, fresh, waiting })
    return { ...planned, key, notices: [...planned.notices, ...held] }
  }

  /** They are durable. */
  apply(planned: readonly PlannedLane[]): void {
    for (const { key, notices, pace, againUs } of planned) {
      const lane = this.#lanes.get(key) ?? this.#laneOf(pace)
      for (const row of notices) {
        if (row.state === 'waiting')
          lane.waiting.set(row.id, { ...row, revision: row.revision + 1 })
        else lane.waiting.delete(row.id)
      }
      lane.pace = { ...pace, revision: pace.revision + 1 }
      lane.againUs = againUs ?? Infinity
      this.#lanes.set(key, lane)
    }
  }
}

const suppressed = (row: NoticeRow, problem: string): NoticeRow => ({
  ...row,
  ...{ state: 'suppressed', problem },
})
