/**
 * Erasing over the real API, on Kafka, PostgreSQL and MinIO, through `kill -9`: hidden from the
 * answer on, gone from every row and object in the end, and it stays gone when everything comes
 * again.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { makeFolder, until, weir as command } from '../system/weir-process.ts'
import { killService, restartService } from './cluster.ts'
import {
  erase,
  HOUR_MS,
  Installation,
  OLD_MS,
  pointsOf,
  receiptOf,
  SECRET,
  skip,
  statusOf,
  untilPoints,
} from './erasure-role-fixture.ts'

const folder = await makeFolder({ after })
const DEVICES = ['pump-1', 'pump-2']

async function verify(
  receipt: unknown,
  key: string,
): Promise<{ code: number | null; output: string }> {
  const file = join(folder, 'receipt.json')
  await writeFile(file, JSON.stringify(receipt))
  const running = command(['erasure', 'verify', file, '--key', key])
  return { code: await running.end(), output: running.output }
}

test(
  'erased is hidden at once, gone in the end, and stays gone, through kill -9',
  { skip },
  async (t) => {
    const at = await Installation.create({ folder, devices: DEVICES })
    t.after(() => at.close())
    const [older, newer] = [at.oldMessages(), at.newMessages()]
    let process = await at.start()
    await Promise.all(DEVICES.map((id) => process.register({ id })))
    await at.append([...older, ...newer])
    await untilPoints(process, 'pump-2', 80)
    await at.untilInLake('pump-2', 160)
    // What is old leaves PostgreSQL at a start.
    await process.kill()
    process = await at.start()
    await at.untilMonthsLeft()
    // It comes again behind the month.
    const late = older.slice(0, 20).map((one) => ({ ...one, ms: one.ms + 1 }))
    await at.append(late)
    await untilPoints(process, 'pump-1', 90)
    const others = await pointsOf(process, 'pump-2')
    assert.ok((await at.placesOf(`${SECRET} of pump-1`)).length > 0)

    // A part of a month first, which is killed at once.
    const [from, to] = [OLD_MS + 10 * HOUR_MS, OLD_MS + 400 * HOUR_MS]
    const part = await erase(process, `/v1/devices/pump-1/data?from=${from}&to=${to}`)
    const isPart = ([ms]: [number, unknown]): boolean => ms < from || ms >= to
    const left = (await pointsOf(process, 'pump-1')).filter(isPart)
    assert.deepEqual(await pointsOf(process, 'pump-1'), left)
    await process.kill()
    process = await at.start()
    assert.deepEqual(await pointsOf(process, 'pump-1'), left)
    const first = await receiptOf(process, part)
    assert.deepEqual(await pointsOf(process, 'pump-1'), left)
    assert.ok(first.erasure.files.some(({ place, crc32_after }) => place === 'cold' && crc32_after))

    const all = await erase(process, '/v1/devices/pump-1/data')
    assert.deepEqual(await pointsOf(process, 'pump-1'), [])
    const second = await receiptOf(process, all)
    assert.equal(second.key, first.key, 'one for the installation')
    assert.ok(second.erasure.rows['reading']! > 0)
    assert.ok(second.erasure.files.some(({ place }) => place === 'commit'))
    const { kept_until } = second.erasure.log
    assert.equal(Object.keys(kept_until).length, 5)
    assert.ok(Object.values(kept_until).every((date) => Date.parse(date!) > Date.now()))
    assert.ok(second.erasure.not_erased.some((one) => one.includes('influxdb2')))
    assert.deepEqual(await at.placesOf(`${SECRET} of pump-1`), [])

    // All of it comes again, and something new.
    const now = at.messagesAt([Date.now()])
    await at.append([...older, ...late, ...newer, ...now])
    await untilPoints(process, 'pump-1', 1)
    assert.deepEqual(await pointsOf(process, 'pump-1'), [[now[0]!.ms, 0]])
    assert.deepEqual((await pointsOf(process, 'pump-2')).slice(0, -1), others)
    await at.untilInLake('pump-1', 2)
    assert.equal((await process.stop()).code, 0)

    const fingerprint = createHash('sha256').update(Buffer.from(first.key, 'base64')).digest('hex')
    assert.equal((await verify(second, fingerprint)).code, 0)
    second.erasure.files.pop()
    const forged = await verify(second, fingerprint)
    assert.equal(forged.code, 1)
    assert.match(forged.output, /RECEIPT_INVALID/)
  },
)

test(
  'MinIO is away: it fails by name, hides all the same, and is done when it is back',
  { skip },
  async (t) => {
    const at = await Installation.create({ folder, devices: DEVICES })
    t.after(() => at.close())
    const process = await at.start()
    await Promise.all(DEVICES.map((id) => process.register({ id })))
    await at.append(at.newMessages())
    await at.untilInLake('pump-1', 80)
    await killService('minio')
    let id: string
    try {
      id = await erase(process, '/v1/devices/pump-1/data')
      assert.deepEqual(await pointsOf(process, 'pump-1'), [])
      const failed = await until(
        'it has failed',
        async () => {
          const status = await statusOf(process, id)
          return status.state === 'failed' ? status : undefined
        },
        60_000,
      )
      assert.match(failed.problem!, /OBJECTS_UNAVAILABLE/)
    } finally {
      await restartService('minio')
    }
    await receiptOf(process, id)
    assert.equal((await at.lakeRows())['pump-1'], undefined)
    assert.equal((await process.stop()).code, 0)
  },
)
