/** A cluster with one store on PostgreSQL alone and one on TimescaleDB. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deviceKey, hashKey } from '../../src/entries/entries.ts'
import { until, type WeirProcess } from '../system/weir-process.ts'
import { Installation, skip as skipCluster } from './cluster-process.ts'
import { askOf, POSTGRES, serverOf } from './postgres-fixture.ts'

const TIMESCALE = serverOf('timescaledb')
const skip = skipCluster ?? TIMESCALE.skip
const DEVICES = Array.from({ length: 8 }, (_, at) => `pump-${at}`)
/** Older than what is left uncompressed. */
const OLD_MS = Date.now() - 10 * 86_400_000

const isFar = (device: string): boolean => hashKey(deviceKey('default', device)) >>> 0 >= 2 ** 31

async function send(process: WeirProcess, [from, to]: [number, number]): Promise<void> {
  const body = Array.from({ length: to - from }, (_, at) => ({
    ts: OLD_MS + from + at,
    metrics: { temperature: from + at },
  }))
  for (const device of DEVICES) {
    // Nobody else may send what is so old.
    const path = `/v1/devices/${device}/telemetry?historical=true`
    const answer = await process.api(path, { body })
    assert.equal(answer.status, 200, answer.text)
  }
}

test(
  'each store decides for itself; the old is compressed, and later readings find it',
  { skip: skip ?? false, timeout: 120_000 },
  async (t) => {
    const stores = [
      `0-0x7fffffff=${POSTGRES.url}`,
      `0x80000000-0xffffffff=${TIMESCALE.url}`,
    ] as const
    const at = await Installation.open(t, { stores })
    t.after(() => askOf(TIMESCALE.url, `DROP SCHEMA IF EXISTS ${at.name} CASCADE`))
    const untilCount = (count: number): Promise<boolean[]> =>
      Promise.all(
        [POSTGRES, TIMESCALE].map((server) =>
          until(
            `${count} of each device in ${server.name}`,
            async () => {
              const counts = await server.ask(
                `SELECT device_id, count(*)::integer FROM ${at.name}.reading
                 JOIN ${at.name}.series ON id = series GROUP BY device_id ORDER BY device_id`,
              )
              const devices = DEVICES.filter((one) => isFar(one) === (server === TIMESCALE))
              const expected = devices.map((device_id) => ({ device_id, count }))
              return JSON.stringify(counts) === JSON.stringify(expected)
            },
            30_000,
          ),
        ),
      )

    const first = await at.start('all')
    assert.match(at.output, /store_opened[^\n]*months[^\n]*\n[^\n]*store_opened[^\n]*hypertables/)
    for (const id of DEVICES) await first.register({ id })
    await send(first, [0, 50])
    await untilCount(50)
    assert.equal((await first.stop()).code, 0)

    // A writer that starts looks at once for what has become old.
    const second = await at.start('all')
    const isCompressed = async (): Promise<boolean> => {
      const chunks = await TIMESCALE.ask(
        `SELECT is_compressed FROM timescaledb_information.chunks
         WHERE hypertable_schema = '${at.name}' AND hypertable_name = 'reading'`,
      )
      return chunks.length > 0 && chunks.every((chunk) => chunk['is_compressed'])
    }
    await until('all is compressed', isCompressed, 30_000)
    await send(second, [30, 80])
    await untilCount(80)
    const expected = Array.from({ length: 80 }, (_, value) => [OLD_MS + value, value])
    for (const device of [DEVICES.find(isFar)!, DEVICES.find((one) => !isFar(one))!]) {
      assert.deepEqual(await second.points(device, 'temperature'), expected)
    }
    assert.equal((await second.stop()).code, 0)
  },
)
