/** The catalogue's rows of backups, of what is verified, and of receipts. */
import { row, type CatalogueRow } from './row.ts'

export const BACKUP_ERRORS = {
  BACKUP_MISSING: row(
    'There is no such backup',
    { http: 404, exit: 1 },
    'weir backup list --from … shows which there are.',
  ),
  BACKUP_DAMAGED: row(
    'The backup cannot be restored',
    { http: 500, exit: 3 },
    'Take another one, or put the missing pieces back; nothing was changed here.',
  ),
  CATALOGUE_UNREPAIRABLE: row(
    'The catalogue cannot be made again',
    { exit: 3 },
    'Put catalogue.db back from a backup; nothing was changed here.',
  ),
  VERIFICATION_RUNNING: row(
    'What is stored is being verified already',
    { http: 409, exit: 1 },
    'Wait until it is done: GET /v1/storage/verifications/{id} shows how far it is.',
  ),
  BACKUP_RUNNING: row(
    'A backup is being made already',
    { http: 409, exit: 1 },
    'Wait until it is done: GET /v1/backups/{id} shows how far it is.',
  ),
  RECEIPT_INVALID: row(
    'The receipt of an erasure is not genuine',
    { exit: 1 },
    'Ask for it again: weir erasure show ID; compare the key with that of the installation.',
  ),
  RESTORE_TARGET_EXISTS: row(
    'A backup is restored into an empty or new folder only',
    { exit: 3 },
    'Give another folder with --data, or move away what is there.',
  ),
} as const satisfies Record<string, CatalogueRow>
