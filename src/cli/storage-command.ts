/** `weir storage`: what a server stores, and where. */
import type { Command } from 'commander'
import { clientOf } from './connection-flags.ts'
import {
  addDeskFlags,
  pathOf,
  printJson,
  printTable,
  timeOf,
  type DeskFlags,
} from './desk-output.ts'
import { WeirError } from '../errors/errors.ts'
import { addArchive } from './archive-command.ts'
import { untilFilesDone, type FilesJob } from './jobs.ts'
import { addRepair } from './repair-command.ts'
import { sizeOf } from './sizes.ts'

interface Report {
  tiers: {
    tier: string
    files: number
    rows: number
    bytes: number
    oldest: number | null
    newest: number | null
  }[]
  readings_in_memory: number
  segments_damaged: number
  merge_debt: number
  disk: { free_bytes: number; bytes_per_day: number | null; full_in_days: number | null }
}

const EXAMPLES = `
Examples:
  weir storage stats
  weir storage verify
  weir storage repair --data /var/lib/weir
  weir storage flush
  weir storage exported --before 2026-01-01T00:00:00Z
  weir storage lifecycle --set
  weir storage restore --from 2024-01-01T00:00:00Z --to 2024-04-01T00:00:00Z --device pump-1`

export function addStorage(program: Command): void {
  const storage = program
    .command('storage')
    .description('what is stored, and where')
    .addHelpText('after', EXAMPLES)
  addDeskFlags(
    storage.command('stats').description('tiers, bytes a reading, and when the disk is full'),
  ).action(stats)
  addDeskFlags(
    storage
      .command('verify')
      .description('read every file again, against its checksum; exit code 1: some are damaged'),
  ).action(verify)
  addDeskFlags(
    storage.command('flush').description('write what is in memory into segments, and wait'),
  ).action(flush)
  addDeskFlags(
    storage
      .command('exported')
      .description('confirm that readings were exported, so that their age may delete them')
      .requiredOption('--before <time>', 'all of before this time, in RFC 3339'),
  ).action(exported)
  addRepair(storage)
  addArchive(storage)
}

async function stats(flags: DeskFlags): Promise<void> {
  const report = await clientOf(flags).get<Report>('/v1/storage')
  if (flags.json === true) return printJson(report)
  printTable(
    ['TIER', 'FILES', 'ROWS', 'BYTES', 'BYTES/ROW', 'OLDEST', 'NEWEST'],
    report.tiers.map(({ tier, files, rows, bytes, oldest, newest }) => [
      tier,
      String(files),
      rows.toLocaleString('en'),
      sizeOf(bytes),
      rows === 0 ? '' : (bytes / rows).toFixed(2),
      timeOf(oldest),
      timeOf(newest),
    ]),
  )
  const { disk } = report
  console.log(`\nIn memory: ${report.readings_in_memory.toLocaleString('en')} readings`)
  if (report.merge_debt > 0) console.log(`To be merged: ${report.merge_debt} segments`)
  if (report.segments_damaged > 0)
    console.log(`Damaged: ${report.segments_damaged} segments, which no answer has`)
  console.log(`Disk: ${sizeOf(disk.free_bytes)} free, ${fullness(disk)}`)
}

function fullness({ bytes_per_day: perDay, full_in_days: days }: Report['disk']): string {
  if (perDay === null) return 'too little is stored yet to say when it is full'
  const rate = `${sizeOf(perDay)} more a day`
  if (days === null) return `${rate}; what leaves it for its age makes room for that`
  return `${rate}: full in ${days < 10 ? days.toFixed(1) : Math.round(days)} days`
}

interface Verification extends FilesJob {
  problem: string | null
  damaged: { file: string; problem: string; rows: number }[]
}

async function verify(flags: DeskFlags): Promise<void> {
  const client = clientOf(flags)
  const { body } = await client.post('/v1/storage/verifications', '')
  const path = pathOf('/v1/storage/verifications', (body as { id: string }).id)
  const status = await untilFilesDone<Verification>(client, path)
  if (status.problem !== null) throw new WeirError('STORAGE_UNAVAILABLE', status.problem)
  if (status.damaged.length > 0) process.exitCode = 1
  if (flags.json === true) return printJson(status)
  const { files_total: files, bytes_total: bytes, damaged } = status
  console.log(`${files} files of ${sizeOf(bytes)}: ${damaged.length} damaged.`)
  if (damaged.length === 0) return
  printTable(
    ['FILE', 'ROWS', 'PROBLEM'],
    damaged.map(({ file, rows, problem }) => [file, String(rows), problem]),
  )
}

async function flush(flags: DeskFlags): Promise<void> {
  await clientOf(flags).post('/v1/storage/flush', '')
  if (flags.json === true) return printJson({ flushed: true })
  console.log('All that was acknowledged is in segments.')
}

async function exported(flags: DeskFlags & { before: string }): Promise<void> {
  await clientOf(flags).post('/v1/storage/exported', JSON.stringify({ before: flags.before }))
  if (flags.json === true) return printJson({ exported_before: flags.before })
  console.log(`Readings of before ${flags.before} may be deleted when their age is over.`)
}
