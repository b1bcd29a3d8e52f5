import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { nodeWorld } from '../world/node-world.ts'
import type { Disk } from '../world/world.ts'
import { DAY_US, HOUR_US, openAging, openCold, readAll, writeDays } from './aging-fixture.ts'
import type { Opened } from './aging-fixture.ts'
import { repairCatalogue, type Repair } from './repair.ts'
import { copyFolder, makeOutput } from './storage-fixture.ts'

const DAYS = 130

async function repair(folder: string, disk: Disk = nodeWorld.disk): Promise<Repair> {
  const objects = await openCold(folder)
  const world = { ...nodeWorld, disk }
  return repairCatalogue({ folder, world, objects, logFirstOffset: 0 })
}

const catalogueFiles = (folder: string): string[] =>
  readdirSync(folder).filter((file) => file.startsWith('catalogue.db'))

function loseCatalogue(folder: string): void {
  for (const file of catalogueFiles(folder)) rmSync(join(folder, file))
}

interface Answers {
  temperature: unknown
  state: unknown
  short: unknown
}

async function answersOf({ store }: Opened): Promise<Answers> {
  const of = async (metric: string) => (await readAll(store, metric)).points
  return {
    temperature: await of('temperature'),
    state: await of('state'),
    short: await of('short'),
  }
}

/** Readings of four months, of which the first is cold, some of them erased; closed. */
async function writeFolder(context: TestContext): Promise<{
  folder: string
  nowUs: number
  answers: Answers
  lastOffset: number
}> {
  const opened = await openAging(context)
  const { store, folder, now } = opened
  const lastOffset = await writeDays(opened, DAYS)
  const erasure = {
    ...{ id: 'e1', tenant: 'default', deviceIds: ['pump-1'], requestedAtUs: now.us, events: 0 },
    ...{ fromUs: now.us - 60 * DAY_US, toUs: now.us - 50 * DAY_US, receipt: undefined },
  }
  await store.erasures.begin(erasure)
  await store.erasures.run('e1')
  await store.erasures.finish('e1', '{}')
  const answers = await answersOf(opened)
  await store.close()
  return { folder, nowUs: now.us, answers, lastOffset }
}

test('a lost catalogue is refused by name and by what helps, and made again answers as before', async (context) => {
  const { folder, nowUs, answers, lastOffset } = await writeFolder(context)
  loseCatalogue(folder)
  await assert.rejects(openAging(context, { folder, nowUs }), {
    code: 'DATA_FILE_DAMAGED',
    message: /catalogue\.db is missing or empty.*weir storage repair/,
  })
  loseCatalogue(folder)
  const done = await repair(folder)
  assert.deepEqual(done.lost, [])
  assert.deepEqual([done.series, done.erasures, done.nextOffset], [3, 1, lastOffset + 1])
  assert.ok(done.coldFiles > 0)
  const opened = await openAging(context, { folder, nowUs })
  const { nextOffset, floors, definitions } = await opened.store.recover()
  assert.equal(nextOffset, lastOffset + 1)
  assert.equal(definitions.texts.length, 3)
  // What was stored is taken for no first word when it comes again.
  assert.ok(floors!.slice(0, 3).every((us) => us > nowUs - DAY_US))
  assert.deepEqual(await answersOf(opened), answers)
  const [erasure] = opened.store.erasures.all()
  assert.equal(erasure?.receipt, '{}', 'no file has anything of it')
  // It goes on: what comes is kept, and the next start needs no floors.
  const readings = [{ series: 0, timeUs: nowUs + 1e6, value: 5 }]
  opened.store.output(makeOutput({ offset: nextOffset, readings }))
  await opened.store.commit({ offset: nextOffset, parts: [] })
  await opened.store.settle()
  await opened.store.close()
  const again = await openAging(context, { folder, nowUs: nowUs + HOUR_US })
  assert.equal((await again.store.recover()).floors, undefined)
  const { points } = await readAll(again.store, 'temperature')
  assert.deepEqual(points, [...(answers.temperature as unknown[]), [nowUs / 1000 + 1000, 5]])
})

test('a damaged catalogue is put aside, an intact one is left, and a damaged segment is told', async (context) => {
  const { folder, nowUs, answers } = await writeFolder(context)
  assert.equal((await repair(folder)).isIntact, true)
  const path = join(folder, 'catalogue.db')
  const bytes = await readFile(path)
  writeFileSync(path, bytes.fill(0xab, 4096, bytes.length - 100))
  const segments = join(folder, 'segments')
  const [victim = ''] = readdirSync(segments).filter((file) => /^readings.*parquet$/.test(file))
  const segment = await readFile(join(segments, victim))
  segment[Math.floor(segment.length / 3)]! ^= 0x10
  writeFileSync(join(segments, victim), segment)
  const done = await repair(folder)
  assert.deepEqual(
    done.lost.map(({ file }) => file),
    [victim],
  )
  assert.ok(existsSync(join(segments, `${victim}.damaged`)), 'it is kept')
  assert.ok(existsSync(join(folder, 'catalogue.db.damaged-1')))
  const opened = await openAging(context, { folder, nowUs })
  await opened.store.recover()
  const { points } = await readAll(opened.store, 'temperature')
  const all = answers.temperature as unknown[][]
  assert.ok(points.length > 0 && points.length < all.length)
  const known = new Map(all.map(([ms, value]) => [ms, value]))
  assert.ok(points.every(([ms, value]) => known.get(ms) === value))
})

test('what a repair that was cut off leaves, at any step, is repaired by the next', async (context) => {
  const { folder, nowUs, answers } = await writeFolder(context)
  const path = join(folder, 'catalogue.db')
  writeFileSync(path, (await readFile(path)).fill(0xab, 4096))
  const steps: string[] = []
  const cut = (): void => {
    const copy = `${folder}-cut-${steps.length}`
    copyFolder(folder, copy)
    steps.push(copy)
  }
  const disk: Disk = {
    ...bound(nodeWorld.disk),
    async rename(from, to) {
      cut()
      await nodeWorld.disk.rename(from, to)
      cut()
    },
    async remove(file) {
      cut()
      await nodeWorld.disk.remove(file)
    },
  }
  await repair(folder, disk)
  assert.ok(steps.length >= 4, `${steps.length} steps`)
  for (const copy of steps) {
    await repair(copy)
    const opened = await openAging(context, { folder: copy, nowUs })
    await opened.store.recover()
    assert.deepEqual(await answersOf(opened), answers, copy)
    await opened.store.close()
  }
})

const bound = (disk: Disk): Disk =>
  new Proxy(disk, {
    get: (target, name: keyof Disk) => (target[name] as () => unknown).bind(target),
  })

test('kill -9 in the middle of a repair leaves a folder that it repairs', async (context) => {
  const { folder, nowUs, answers } = await writeFolder(context)
  loseCatalogue(folder)
  const script = `
    import { repairCatalogue } from ${JSON.stringify(import.meta.resolve('./repair.ts'))}
    import { nodeWorld } from ${JSON.stringify(import.meta.resolve('../world/node-world.ts'))}
    import { openCold } from ${JSON.stringify(import.meta.resolve('./aging-fixture.ts'))}
    const folder = ${JSON.stringify(folder)}
    const objects = await openCold(folder)
    console.log('begins')
    await repairCatalogue({ folder, world: nodeWorld, objects, logFirstOffset: 0 })
    console.log('done')`
  for (const ms of [0, 40, 120]) {
    const parameters = [
      '--disable-warning=ExperimentalWarning',
      '--input-type=module',
      '-e',
      script,
    ]
    const child = spawn(process.execPath, parameters, { stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = once(child, 'close')
    await Promise.race([once(child.stdout, 'data'), ended])
    await new Promise((resolve) => setTimeout(resolve, ms))
    child.kill('SIGKILL')
    await ended
    if (existsSync(join(folder, 'catalogue.db')) && (await repair(folder)).isIntact) continue
    await repair(folder)
    const opened = await openAging(context, { folder, nowUs })
    await opened.store.recover()
    assert.deepEqual(await answersOf(opened), answers)
    await opened.store.close()
    loseCatalogue(folder)
  }
})

test('names that are missing are told, and nothing is made without them', async (context) => {
  const { folder } = await writeFolder(context)
  loseCatalogue(folder)
  rmSync(join(folder, 'segments', 'definitions.lines'))
  await assert.rejects(repair(folder), { code: 'CATALOGUE_UNREPAIRABLE', message: /3 of 3 series/ })
  assert.deepEqual(catalogueFiles(folder), [])
})

test('a folder of an earlier version gets what it needs when it is opened', async (context) => {
  const { folder, nowUs, answers } = await writeFolder(context)
  rmSync(join(folder, 'segments', 'definitions.lines'))
  const cold = join(folder, 'cold')
  for (const file of readdirSync(cold, { recursive: true, encoding: 'utf8' })) {
    if (file.includes('_manifest-') && statSync(join(cold, file)).isFile()) rmSync(join(cold, file))
  }
  const opened = await openAging(context, { folder, nowUs })
  const { nextOffset } = await opened.store.recover()
  opened.store.output(makeOutput({ offset: nextOffset, readings: [] }))
  await opened.store.commit({ offset: nextOffset, parts: [] })
  await opened.store.settle()
  await opened.store.close()
  loseCatalogue(folder)
  await repair(folder)
  const again = await openAging(context, { folder, nowUs })
  await again.store.recover()
  assert.deepEqual(await answersOf(again), answers)
})

test('a bit that is flipped anywhere in a segment hides no reading and changes none', async (context) => {
  const opened = await openAging(context)
  await writeDays(opened, 3)
  const { folder, now } = opened
  const answers = await answersOf(opened)
  await opened.store.close()
  const segments = join(folder, 'segments')
  const [victim = ''] = readdirSync(segments).filter((file) => /^readings.*parquet$/.test(file))
  const whole = await readFile(join(segments, victim))
  let found = 0
  for (let at = 4; at < whole.length; at += 37) {
    const flipped = Buffer.from(whole)
    flipped[at]! ^= 1 << (at % 8)
    writeFileSync(join(segments, victim), flipped)
    loseCatalogue(folder)
    const { lost } = await repair(folder)
    for (const { file } of lost) rmSync(join(segments, `${file}.damaged`))
    if (lost.length > 0) {
      found++
      continue
    }
    // In a header or a statistic that nobody reads.
    const again = await openAging(context, { folder, nowUs: now.us })
    await again.store.recover()
    assert.deepEqual(await answersOf(again), answers, `byte ${at}`)
    await again.store.close()
  }
  assert.ok(found > 5, `${found} found`)
})
