/** A row of the catalogue; what each column means is written in `errors.ts`. */
export interface CatalogueRow {
  title: string
  http: number
  mqtt: number
  exit: number
  retryable: boolean
  hint: string
}

export const row = (
  title: string,
  codes: { http?: number; mqtt?: number; exit?: number; retryable?: boolean },
  hint: string,
): CatalogueRow => ({ title, http: 500, mqtt: 0x80, exit: 1, retryable: false, ...codes, hint })
