/** MinIO, built once by the Go tool chain: a server that speaks S3, for tests only (AGPL). */
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../bench/peers.ts'
import { answers, createPassword, execute, findProgram, launch, type Started } from './process.ts'
import type { Places, Recipe } from './recipe.ts'

const MODULE = 'github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c'
export const MINIO_USER = 'weir'
const GO_FOLDERS = ['/usr/local/go/bin']

const binFolder = (cache: string): string => join(cache, `minio-${MODULE.split('-').at(-1)}`)

export const MINIO: Recipe = {
  name: 'minio',
  missing() {
    return findProgram('go', GO_FOLDERS) === undefined ? 'go is not installed' : undefined
  },
  install(cache, say) {
    if (existsSync(join(binFolder(cache), 'minio'))) return
    say('MinIO: built from source, about 3 minutes')
    mkdirSync(binFolder(cache), { recursive: true })
    const environment = { GOBIN: binFolder(cache), CGO_ENABLED: '0' }
    execute(findProgram('go', GO_FOLDERS)!, ['install', MODULE], { environment })
  },
  async start(places, { launched }) {
    const password = createPassword()
    const { endpoint, process } = await launchMinio(places, { name: 'minio', password })
    launched(process)
    return { endpoint, accessKey: MINIO_USER, secretKey: password }
  },
  answers: ({ endpoint = '' }) => minioAnswers(endpoint),
}

export async function launchMinio(
  { cache, data }: Places,
  { name, password }: { name: string; password: string },
): Promise<{ endpoint: string; process: Started }> {
  const folder = join(data, name)
  mkdirSync(folder, { recursive: true })
  const port = await freePort()
  const process = launch({
    command: join(binFolder(cache), 'minio'),
    parameters: ['server', folder, '--address', `127.0.0.1:${port}`, '--quiet'],
    log: join(data, `${name}.log`),
    environment: { MINIO_ROOT_USER: MINIO_USER, MINIO_ROOT_PASSWORD: password },
  })
  return { endpoint: `http://127.0.0.1:${port}`, process }
}

export function minioAnswers(endpoint: string): Promise<boolean> {
  const question = `GET /minio/health/ready HTTP/1.1\r\nHost: localhost\r\n\r\n`
  return answers(Number(new URL(endpoint).port), question, 'HTTP/1.1 200')
}
