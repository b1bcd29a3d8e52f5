/**
 * Records a data folder of this version: `node test/compatibility/make-folder.ts NAME` writes
 * test/compatibility/folders/NAME.json.zst. Three chapters are committed to segments; the fourth is
 * in the log only, as `kill -9` left it. Needs faketime, so that the same event times are believed
 * whenever it runs. Record one before a release and whenever a format changed, and keep all.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fakedClock } from '../system/faked-clock.ts'
import { makeFolder, until, WeirProcess, type StartOptions } from '../system/weir-process.ts'
import { answersOf, CHAPTERS, MADE_AT, PIPELINE, register, sendChapter } from './contents.ts'
import { pack } from './packed-folder.ts'

const COMMITTING = 'log: { segmentBytes: 64 KiB }\nstream: { checkpointInterval: 100ms }\n'
const NOT_COMMITTING = 'log: { segmentBytes: 64 KiB }\nstream: { checkpointInterval: 1h }\n'
/** Files that say nothing of the content. */
const LEFT_OUT = ['reserve', 'spill', 'lock.db', 'ports.json']

const [name] = process.argv.slice(2)
if (name === undefined) throw new Error('say how the folder is to be called')
const file = fileURLToPath(new URL(`./folders/${name}.json.zst`, import.meta.url))

const cleanups: (() => Promise<void>)[] = []
const folder = await makeFolder({ after: (clean) => void cleanups.push(clean) })
const clock = join(folder, 'clock')
const environment = await fakedClock(clock)
if (typeof environment === 'string') throw new Error(environment)
const offsetSeconds = Math.round((Date.parse(`${MADE_AT}Z`) - Date.now()) / 1000)
writeFileSync(clock, `${offsetSeconds}\n`)

const options = (config: string): StartOptions => ({
  ...{ folder, config, pipeline: PIPELINE, environment },
})

async function storedOf(weir: WeirProcess): Promise<number> {
  const { text } = await weir.api('/metrics')
  return Number(/^weir_storage_readings_stored (\d+)$/m.exec(text)?.[1])
}

let weir = await WeirProcess.start(options(COMMITTING))
await register(weir)
for (const chapter of CHAPTERS.slice(0, -1)) {
  const stored = await storedOf(weir)
  await sendChapter(weir, chapter)
  await until('the chapter is in a segment', async () => (await storedOf(weir)) > stored + 100)
}
await weir.stop()
weir = await WeirProcess.start(options(NOT_COMMITTING))
await sendChapter(weir, CHAPTERS.at(-1)!)
await until('all is visible', async () => {
  const { text } = await weir.api('/metrics')
  return /^weir_log_lag_bytes 0$/m.test(text)
})
const answers = await answersOf(weir)
await weir.kill()
for (const one of LEFT_OUT) rmSync(join(folder, 'data', one), { recursive: true, force: true })
rmSync(clock)
const { stdout } = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' })
mkdirSync(dirname(file), { recursive: true })
writeFileSync(file, pack(folder, { commit: stdout.trim(), answers }))
for (const clean of cleanups) await clean()
console.log(file)
