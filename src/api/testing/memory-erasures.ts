/** Erasures for the API's tests: they are begun, and a test says when they are done. */
import type { ErasureDesk, ErasureStatus } from '../api.ts'

export class MemoryErasures implements ErasureDesk {
  readonly begun: { deviceIds: string[]; fromUs: number | undefined; toUs: number | undefined }[] =
    []
  readonly statuses = new Map<string, ErasureStatus>()

  async start(
    _tenant: string,
    deviceIds: string[],
    span: { fromUs: number | undefined; toUs: number | undefined },
  ): Promise<string> {
    this.begun.push({ deviceIds, ...span })
    const id = String(this.begun.length)
    this.statuses.set(id, { state: 'running', problem: undefined, receipt: undefined })
    return id
  }

  async find(_tenant: string, id: string): Promise<ErasureStatus | undefined> {
    return this.statuses.get(id)
  }
}
