/**
 * The key that an installation signs with: Ed25519, made when it is first needed. In one process it
 * is a file of mode 600; a cluster keeps it in PostgreSQL.
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { sign, verify, type KeyObject } from 'node:crypto'
import { chmod, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const FILE = 'instance-key.pem'

export interface Signed {
  /** SPKI in DER, base64. */
  key: string
  /** Over the bytes of the signed text, base64. */
  signature: string
}

export class InstanceKey {
  readonly #key: KeyObject

  private constructor(key: KeyObject) {
    this.#key = key
  }

  static async open(folder: string): Promise<InstanceKey> {
    const path = join(folder, FILE)
    const known = await readFile(path, 'utf8').catch(() => undefined)
    if (known !== undefined) return InstanceKey.ofPem(known)
    const pem = InstanceKey.createPem()
    // A power cut leaves all of it or none: half a key would fail every erasure.
    const half = `${path}.tmp`
    await writeFile(half, pem, { mode: 0o600, flush: true })
    await chmod(half, 0o600)
    await rename(half, path)
    return InstanceKey.ofPem(pem)
  }

  /** PKCS 8: a secret. */
  static createPem(): string {
    const { privateKey } = generateKeyPairSync('ed25519')
    return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  }

  static ofPem(pem: string): InstanceKey {
    return new InstanceKey(createPrivateKey(pem))
  }

  sign(text: string): Signed {
    const key = createPublicKey(this.#key).export({ type: 'spki', format: 'der' })
    const signature = sign(null, Buffer.from(text), this.#key)
    return { key: key.toString('base64'), signature: signature.toString('base64') }
  }
}

/** What people compare: SHA-256 of the key, hex. */
export const fingerprintOf = (key: string): string =>
  createHash('sha256').update(Buffer.from(key, 'base64')).digest('hex')

/** False also when key or signature are none. */
export function isSignedBy(text: string, { key, signature }: Signed): boolean {
  try {
    const der = Buffer.from(key, 'base64')
    const publicKey = createPublicKey({ key: der, type: 'spki', format: 'der' })
    return verify(null, Buffer.from(text), publicKey, Buffer.from(signature, 'base64'))
  } catch {
    return false
  }
}
