/** What people do with the store, over the threads that it takes. */
import { join } from 'node:path'
import type { StorageDesk } from '../api/api.ts'
import type { SqliteControl } from '../control/sqlite-control.ts'
import type { Threads } from './start-threads.ts'

export function storageDesk(
  control: Pick<SqliteControl, 'copyTo'>,
  { storage, stream, gateway }: Pick<Threads, 'storage' | 'stream' | 'gateway'>,
): StorageDesk {
  /** What was acknowledged so far comes through the stream, and is committed. */
  const flush = async (): Promise<void> => stream.flush(await gateway.newestOffset())
  return {
    flush,
    report: () => storage.report(),
    confirmExported: (beforeUs) => storage.confirmExported(beforeUs),
    async startBackup(to) {
      await flush()
      const copies = await storage.beginBackup(to)
      try {
        // Behind the readings' copy: the registry must know every device that has some.
        await control.copyTo(join(copies, 'control.db'))
      } catch (error) {
        await storage.cancelBackup()
        throw error
      }
      return storage.runBackup(to)
    },
    backup: (id) => storage.backup(id),
    pruneBackups: (to, keep) => storage.pruneBackups(to, keep),
    startVerification: () => storage.startVerification(),
    verification: (id) => storage.verification(id),
    lifecycle: () => storage.lifecycle(),
    setLifecycle: () => storage.setLifecycle(),
    archived: (question) => storage.archived(question),
    restoreArchived: (question, days) => storage.restoreArchived(question, days),
  }
}
