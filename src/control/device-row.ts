import type { Device } from './control.ts'

/** A row of the table `device`, on either database. */
export interface DeviceRow {
  number: number
  tenant: string
  id: string
  type: string
  location: string | null
  tags: string
  parent: string | null
  is_gateway: number
  created_at_us: number
  token_hash: Uint8Array
}

export const toDevice = (row: DeviceRow): Device => ({
  number: row.number,
  tenant: row.tenant,
  id: row.id,
  type: row.type,
  location: row.location ?? undefined,
  tags: JSON.parse(row.tags) as Record<string, string>,
  parent: row.parent ?? undefined,
  isGateway: row.is_gateway === 1,
  createdAtUs: row.created_at_us,
})
