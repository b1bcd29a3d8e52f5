/** SQL for the API's tests: it answers what it is asked, until whoever asks has gone. */
import { WeirError } from '../../errors/errors.ts'
import type { SqlDesk } from '../api.ts'

export class MemorySql implements SqlDesk {
  aborted = 0

  async run(_tenant: string, sql: string, signal: AbortSignal) {
    if (sql === 'wait') {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      this.aborted++
    }
    if (!sql.startsWith('SELECT')) throw new WeirError('SQL_REFUSED', 'only SELECT is allowed')
    return { columns: [{ name: 'x', type: 'VARCHAR' }], rows: [[sql], [null], [1]] }
  }
}
