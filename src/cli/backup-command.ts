/** `weir backup` and `weir restore`: a data folder into an object store, and back from there. */
import { rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { listBackups, readBackup } from '../backup/backup.ts'
import { restoreFolder } from '../backup/restore-folder.ts'
import { openDestination } from '../embedded/destination.ts'
import { writeRestoredMark } from '../embedded/restored-mark.ts'
import { WeirError, type ErrorCode } from '../errors/errors.ts'
import type { Objects } from '../objects/objects.ts'
import { nodeWorld } from '../world/node-world.ts'
import { clientOf } from './connection-flags.ts'
import { addDeskFlags, pathOf, printJson, printTable, type DeskFlags } from './desk-output.ts'
import { untilFilesDone, type FilesJob } from './jobs.ts'
import { Progress } from './progress.ts'
import { sizeOf } from './sizes.ts'

interface Status extends FilesJob {
  id: string
  name: string | null
  bytes_copied: number
  problem: { code: string; detail: string } | null
}

const BACKUP_EXAMPLES = `
A backup holds all that was acknowledged when it began. What is there from earlier ones is not
copied again. Readings in a bucket (cold.bucket) stay there, and are no part of it.

Examples:
  weir backup --to /mnt/backups/weir
  AWS_REGION=eu-central-1 weir start …     the server’s own credentials are used:
  weir backup --to s3://my-bucket/weir
  weir backup list --from /mnt/backups/weir
  weir backup prune --to /mnt/backups/weir --keep 30`

export function addBackup(program: Command): void {
  const backup = program
    .command('backup')
    .description('make a backup of a running server')
    .option('--to <place>', 'a folder of the server’s machine, or s3://bucket/prefix')
    .addHelpText('after', BACKUP_EXAMPLES)
    .enablePositionalOptions()
  addDeskFlags(backup).action(make)
  const prune = backup
    .command('prune')
    .description('remove the oldest backups of a place, and what no other needs')
    .requiredOption('--to <place>', 'where they are: as weir backup --to had it')
    .requiredOption('--keep <count>', 'so many of the newest stay')
  addDeskFlags(prune).action(pruneOldest)
  backup
    .command('list')
    .description('backups, the newest last')
    .requiredOption('--from <place>', 'a folder, or s3://bucket/prefix')
    .option('--json', 'print JSON, for other programs')
    .action(list)
}

async function make(flags: DeskFlags & { to?: string }): Promise<void> {
  if (flags.to === undefined) throw new WeirError('CLI_USAGE_INVALID', 'give the place by --to')
  const to = placeOf(flags.to)
  const client = clientOf(flags)
  const { body } = await client.post('/v1/backups', JSON.stringify({ to }))
  const { id } = body as { id: string }
  tell(await untilFilesDone<Status>(client, pathOf('/v1/backups', id)), flags)
}

function tell(status: Status, flags: DeskFlags): void {
  if (status.problem !== null) {
    const { code, detail } = status.problem
    throw new WeirError(code as ErrorCode, detail)
  }
  if (flags.json === true) return printJson(status)
  const { name, files_total: files, bytes_total: bytes, bytes_copied: copied } = status
  console.log(`Backup ${name}: ${files} files, ${sizeOf(bytes)}, of which ${sizeOf(copied)} new.`)
}

interface Pruned {
  removed: string[]
  kept: string[]
  bytes: number
}

async function pruneOldest(flags: DeskFlags & { to: string; keep: string }): Promise<void> {
  const keep = Number(flags.keep)
  if (!Number.isInteger(keep) || keep < 1) {
    throw new WeirError('CLI_USAGE_INVALID', `--keep is a number from 1 on, not ${flags.keep}`)
  }
  const query = new URLSearchParams({ to: placeOf(flags.to), keep: String(keep) })
  const pruned = await clientOf(flags).deleteForAnswer<Pruned>(`/v1/backups?${query.toString()}`)
  if (flags.json === true) return printJson(pruned)
  const { removed, kept, bytes } = pruned
  console.log(`Removed ${removed.length} backups, ${sizeOf(bytes)}; ${kept.length} are left.`)
}

async function list(flags: { from: string; json?: boolean }): Promise<void> {
  const objects = await openPlace(flags.from)
  const backups = []
  for (const name of await listBackups(objects)) {
    const { createdAt, files } = await readBackup(objects, name)
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0)
    backups.push({ name, created_at: createdAt, files: files.length, bytes })
  }
  if (flags.json === true) return printJson(backups)
  printTable(
    ['NAME', 'CREATED', 'FILES', 'BYTES'],
    backups.map(({ name, created_at, files, bytes }) => [
      ...[name, created_at, String(files), sizeOf(bytes)],
    ]),
  )
}

const RESTORE_EXAMPLES = `
The folder must be new or empty. Behind it, weir start --data FOLDER goes on where the backup ends;
the admin key is made anew, those from before are still good.

Examples:
  weir restore --from /mnt/backups/weir --data ./weir-data
  weir restore --from s3://my-bucket/weir --backup 20261129T101500.000Z --data ./weir-data`

export function addRestore(program: Command): void {
  program
    .command('restore')
    .description('make a data folder of a backup')
    .requiredOption('--from <place>', 'a folder, or s3://bucket/prefix')
    .option('--data <folder>', 'the data folder to make', './weir-data')
    .option('--backup <name>', 'this one; the newest without')
    .addHelpText('after', RESTORE_EXAMPLES)
    .action(restore)
}

async function restore(flags: { from: string; data: string; backup?: string }): Promise<void> {
  const objects = await openPlace(flags.from)
  const name = flags.backup ?? (await listBackups(objects)).at(-1)
  if (name === undefined) throw new WeirError('BACKUP_MISSING', `${flags.from} has none`)
  const backup = await readBackup(objects, name)
  const bytes = backup.files.reduce((sum, file) => sum + file.bytes, 0)
  const progress = new Progress(bytes)
  const folder = resolve(flags.data)
  await restoreFolder({
    ...{ objects, backup, folder, disk: nodeWorld.disk },
    removeFolder: (path) => rm(path, { recursive: true, force: true }),
    progress: (done) => progress.update(done, `${sizeOf(done)} of ${sizeOf(bytes)}`),
    finish: (unfinished) =>
      writeRestoredMark(unfinished, { backup: name, nextOffset: backup.nextOffset }),
  })
  progress.finish()
  console.log(`${folder} is the backup ${name}: ${backup.files.length} files, ${sizeOf(bytes)}.`)
}

/** Errors: CLI_USAGE_INVALID. */
function placeOf(text: string): string {
  if (text.startsWith('s3://')) return text
  // A folder would be made of it.
  if (/^\w+:\/\//.test(text)) {
    throw new WeirError('CLI_USAGE_INVALID', `${text} is neither a folder nor s3://bucket/prefix`)
  }
  return resolve(text)
}

const openPlace = (text: string): Promise<Objects> =>
  openDestination(placeOf(text), nodeWorld, process.env)
