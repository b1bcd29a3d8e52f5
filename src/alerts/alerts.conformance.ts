/** What alerts must do on every database. An adapter's test says how to open it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ControlDatabase } from '../control/control.ts'
import { WeirError } from '../errors/errors.ts'
import { nodeWorld } from '../world/node-world.ts'
import type { AlertRecord, Recipient, RuleBook } from './alerts.ts'
import { AlertStore } from './alert-store.ts'
import { endOf, eventOf, recipient, SECOND_US, TENANT } from './alerts-fixture.ts'
import { openRecipients, openSilences } from './books.ts'
import { openAlerts, type OpenAlerts } from './open-alerts.ts'
import { removeOld } from './retention.ts'

export interface AlertsTraits {
  name: string
  skip?: string | undefined
  /** Two connections to one new database, as two processes have them; or twice the only one. */
  open(): Promise<{ runner: ControlDatabase; other: ControlDatabase; close(): Promise<void> }>
}

interface Pair {
  runner: OpenAlerts
  other: OpenAlerts
  store: AlertStore
  /** Topic and id of what was told. */
  told: { topic: string; id: string; change: string }[]
  set(id: string, change?: Partial<Recipient>): Promise<unknown>
  /** Topics of which it fails for good. */
  refusing: Set<string>
}

const { clock } = nodeWorld

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = clock.monotonicMs() + 20_000
  while (!(await isSo())) {
    if (clock.monotonicMs() > endMs) assert.fail(`not within 20 s: ${what}`)
    await new Promise<void>((resolve) => void clock.after(10, resolve))
  }
}

export function testAlerts(traits: AlertsTraits): void {
  const { name, skip } = traits
  const promise = (title: string, run: (pair: Pair) => Promise<void>): void => {
    test(`${title} [${name}]`, { skip: skip ?? false }, async () => {
      const databases = await traits.open()
      const pair = openPair(databases)
      pair.runner.start()
      try {
        await run(pair)
      } finally {
        await pair.runner.stop()
        await pair.other.stop()
        await databases.close()
      }
    })
  }
  testLists(promise)
  testOthers(promise)
  testRetention(promise)
}

type Promised = (title: string, run: (pair: Pair) => Promise<void>) => void

function openPair(databases: { runner: ControlDatabase; other: ControlDatabase }): Pair {
  const told: Pair['told'] = []
  const refusing = new Set<string>()
  const openOn = (database: ControlDatabase): OpenAlerts =>
    openAlerts({
      ...{ database, world: nodeWorld, rules: undefined as unknown as RuleBook },
      recipients: openRecipients({ database, clock, endpoint: {} }),
      silences: openSilences({ database, clock }),
      parentOf: async () => undefined,
      options: {
        ...{ publicUrl: 'https://weir.example', allowPrivateWebhooks: false },
        retentionUs: 1e15,
        async publish(topic, payload) {
          if (refusing.has(topic)) throw new WeirError('NOTIFY_REFUSED', 'go away')
          told.push({ topic, ...(JSON.parse(payload) as { id: string; change: string }) })
        },
      },
    })
  const recipients = openRecipients({ database: databases.other, clock, endpoint: {} })
  return {
    ...{ runner: openOn(databases.runner), other: openOn(databases.other), told, refusing },
    store: new AlertStore(databases.runner),
    set: (id, change) => recipients.put(TENANT, id, recipient(id, change)),
  }
}

function testLists(promise: Promised): void {
  promise('lists are filtered, and paged without gaps where many have one time', async (pair) => {
    const { runner, other } = pair
    const nowUs = clock.nowUs()
    const events = Array.from({ length: 60 }, (_, n) =>
      eventOf(n, nowUs + Math.floor(n / 20) * SECOND_US, {
        ...{ deviceId: `d-${n}`, ruleId: n % 2 === 0 ? 'even' : 'odd' },
        severity: n % 3 === 0 ? 'critical' : 'info',
      }),
    )
    await runner.feed.take(events)
    await runner.feed.take(events.slice(0, 10).map((event) => endOf(event, nowUs + 9 * SECOND_US)))
    const seen: string[] = []
    for (let after: AlertRecord | undefined; ;) {
      const page = await other.alerts.list(TENANT, { ...(after && { after }), limit: 7 })
      if (page.length === 0) break
      seen.push(...page.map(({ id }) => id))
      after = page.at(-1)
    }
    assert.equal(seen.length, 60)
    assert.equal(new Set(seen).size, 60)
    const count = async (filter: object): Promise<number> =>
      (await other.alerts.list(TENANT, { limit: 100, ...filter })).length
    assert.deepEqual(
      await Promise.all([
        ...[{ ruleId: 'even' }, { deviceId: 'd-7' }, { state: 'resolved' }].map(count),
        ...[{ severity: 'critical', state: 'firing' }, { ruleId: 'none' }].map(count),
      ]),
      [30, 1, 10, 16, 0],
    )
    assert.deepEqual(await other.alerts.list('another', { limit: 10 }), [])
  })

  promise('deliveries are found by alert, recipient and state', async (pair) => {
    const { runner, other, told } = pair
    await pair.set('ada')
    await pair.set('bob', { severities: ['critical'] })
    await runner.feed.take([eventOf(1, clock.nowUs()), eventOf(2, clock.nowUs(), { ruleId: 'x' })])
    await until('both are told', () => told.length === 2)
    const isDelivered = async (): Promise<boolean> =>
      (await other.alerts.deliveries(TENANT, { state: 'delivered', limit: 10 })).length === 2
    await until('both are delivered', isDelivered)
    const of1 = await other.alerts.deliveries(TENANT, { alertId: 'e-1', limit: 10 })
    assert.deepEqual(of1.map(({ recipientId, state }) => `${recipientId} ${state}`).toSorted(), [
      'ada delivered',
      'bob suppressed',
    ])
    const ofBob = await other.alerts.deliveries(TENANT, { recipientId: 'bob', limit: 10 })
    assert.deepEqual(
      ofBob.map(({ problem }) => problem),
      ['severity', 'severity'],
    )
  })
}

function testOthers(promise: Promised): void {
  promise('what another process does to an alert counts, whoever is faster', async (pair) => {
    const { runner, other } = pair
    const event = eventOf(1, clock.nowUs())
    await runner.feed.take([event])
    const acts = Array.from({ length: 10 }, (_, n) =>
      other.alerts.act(TENANT, 'e-1', { do: 'note', text: `note ${n}` }, 'ada'),
    )
    const feeds = Array.from({ length: 5 }, (_, n) =>
      runner.feed.take([eventOf(`r-${n}`, clock.nowUs() + n)]),
    )
    await Promise.all([...acts, ...feeds])
    await other.alerts.act(TENANT, 'e-1', { do: 'acknowledge' }, 'ada')
    await runner.feed.take([endOf(event, clock.nowUs())])
    const alert = await other.alerts.find(TENANT, 'e-1')
    assert.deepEqual([alert?.occurrences, alert?.acknowledged?.by], [6, 'ada'])
    const history = await runner.alerts.history(TENANT, 'e-1')
    const countOf = (what: string): number => history.filter((one) => one.what === what).length
    assert.deepEqual(['fired', 'reopened', 'note', 'acknowledge', 'resolved'].map(countOf), [
      ...[1, 5, 10, 1, 1],
    ])
  })

  promise('a dead letter that another process wants tried again is', async (pair) => {
    const { runner, other, told, refusing } = pair
    await pair.set('ada')
    refusing.add('ada')
    await runner.feed.take([eventOf(1, clock.nowUs())])
    const dead = async () =>
      (await other.alerts.deliveries(TENANT, { state: 'dead', limit: 10 })).at(0)
    await until('it is dead', async () => (await dead()) !== undefined)
    const { id } = (await dead())!
    refusing.clear()
    await other.alerts.retry(TENANT, id)
    await until('it is told', () => told.length === 1)
    const isDelivered = async (): Promise<boolean> =>
      (await other.alerts.deliveries(TENANT, { state: 'delivered', limit: 1 }))[0]?.id === id
    await until('it is delivered', isDelivered)
  })
}

function testRetention(promise: Promised): void {
  promise('what is old is removed with all that belongs to it, what fires is not', async (pair) => {
    const { runner, store } = pair
    await pair.set('ada')
    const nowUs = clock.nowUs()
    const old = Array.from({ length: 120 }, (_, n) => eventOf(n, nowUs, { deviceId: `d-${n}` }))
    await runner.feed.take([...old, eventOf('fires', nowUs, { deviceId: 'other' })])
    await runner.feed.take(old.map((event) => endOf(event, nowUs + 1)))
    await until('nothing waits', async () => {
      const rows = await store.select('message', `WHERE state = 'waiting'`, [])
      const notices = await store.select('notification', `WHERE state = 'waiting'`, [])
      return rows.length + notices.length === 0
    })
    await removeOld(store, clock.nowUs() + 1, () => false)
    const left = async (table: Parameters<AlertStore['select']>[0]): Promise<number> =>
      (await store.select(table, '', [])).length
    const tables = [
      'alert_state',
      'alert_episode',
      'alert_history',
      'message',
      'notification',
    ] as const
    assert.deepEqual(await Promise.all(tables.map(left)), [1, 1, 1, 0, 0])
  })
}
