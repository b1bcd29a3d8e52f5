/** `weir storage lifecycle` and `restore`: the archive of the bucket of cold readings. */
import type { Command } from 'commander'
import { clientOf } from './connection-flags.ts'
import { addDeskFlags, printJson, printTable, type DeskFlags } from './desk-output.ts'
import { sizeOf } from './sizes.ts'

interface Rule {
  freeze_after_days: number | null
  storage_class: string | null
  expire_after_days: number | null
}

interface Lifecycle {
  found: Rule | null
  configured: Rule
}

type Restores = Record<
  'readable' | 'frozen' | 'thawing' | 'missing',
  { files: number; bytes: number }
>

export function addArchive(storage: Command): void {
  addDeskFlags(
    storage
      .command('lifecycle')
      .description('when the bucket of cold readings archives and deletes them')
      .option('--set', 'give the bucket the rule that is configured; its other rules stay'),
  ).action(lifecycle)
  addDeskFlags(
    storage
      .command('restore')
      .description('ask the bucket for cold readings that are in its archive; can be repeated')
      .requiredOption('--from <time>', 'readings from here on, in RFC 3339')
      .requiredOption('--to <time>', 'up to here, excluded')
      .option('--device <id>', 'only files that hold some of this device')
      .option('--type <name>', 'only files that hold some of this device type')
      .option('--days <count>', 'how long they stay readable', '7')
      .option('--status', 'only say how far it is'),
  ).action(restore)
}

async function lifecycle(flags: DeskFlags & { set?: boolean }): Promise<void> {
  const path = '/v1/storage/lifecycle'
  const client = clientOf(flags)
  const answer = flags.set === true ? await put(client, path) : await client.get<Lifecycle>(path)
  if (flags.json === true) return printJson(answer)
  const { found, configured } = answer
  printTable(
    ['RULE', 'ARCHIVED', 'DELETED'],
    [
      ['of the bucket', ...(found === null ? ['no rule', 'no rule'] : cellsOf(found))],
      ['configured', ...cellsOf(configured)],
    ],
  )
  const isSame = JSON.stringify(found) === JSON.stringify(configured)
  if (!isSame) console.log('\nTo give the bucket the configured rule: weir storage lifecycle --set')
}

const put = async (client: ReturnType<typeof clientOf>, path: string): Promise<Lifecycle> =>
  (await client.put(path, '')).body as Lifecycle

const cellsOf = ({ freeze_after_days, storage_class, expire_after_days }: Rule): string[] => [
  freeze_after_days === null ? 'never' : `after ${freeze_after_days} days, to ${storage_class}`,
  expire_after_days === null ? 'never' : `after ${expire_after_days} days`,
]

interface RestoreFlags extends DeskFlags {
  from: string
  to: string
  device?: string
  type?: string
  days: string
  status?: boolean
}

async function restore(flags: RestoreFlags): Promise<void> {
  const { from, to, device: device_id, type, days } = flags
  const client = clientOf(flags)
  const path = '/v1/storage/restores'
  const asked = { from, to, device_id, type }
  const answer =
    flags.status === true
      ? await client.get<Restores>(path, asked)
      : ((await client.post(path, JSON.stringify({ ...asked, days: Number(days) })))
          .body as Restores)
  if (flags.json === true) return printJson(answer)
  const states = ['readable', 'thawing', 'frozen', 'missing'] as const
  printTable(
    ['STATE', 'FILES', 'BYTES'],
    states.map((state) => [state, String(answer[state].files), sizeOf(answer[state].bytes)]),
  )
  if (answer.thawing.files > 0) console.log('\nWhat is thawing can be read within hours.')
}
