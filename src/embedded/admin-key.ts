/** The admin key of an installation, made at its first start. */
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Control } from '../control/control.ts'

export interface AdminKey {
  /** The one in the credentials file: found there and still good, or made in this start. */
  readonly adminKey: string
  readonly isAdminKeyNew: boolean
}

/** A key in the credentials file that still works is kept; else a new one is made. */
export async function ensureAdminKey(
  control: Control,
  folder: string,
  credentialsFile: string | undefined,
): Promise<AdminKey> {
  const file = credentialsFile ?? join(folder, 'credentials.json')
  const known = await readFile(file, 'utf8').catch(() => undefined)
  if (known !== undefined) {
    const { adminKey } = parseCredentials(known)
    if (adminKey !== undefined && (await control.identify(adminKey))?.kind === 'admin')
      return { adminKey, isAdminKeyNew: false }
  }
  // Durable now: the file must not hold a key that a power cut takes back.
  const adminKey = await control.createAdminKey()
  await writeFile(file, `${JSON.stringify({ adminKey })}\n`, { mode: 0o600 })
  await chmod(file, 0o600)
  return { adminKey, isAdminKeyNew: true }
}

function parseCredentials(text: string): { adminKey?: string } {
  try {
    return JSON.parse(text) as { adminKey?: string }
  } catch {
    return {}
  }
}
