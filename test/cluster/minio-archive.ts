/** Two MinIOs, of which the first archives in the second: its tier GLACIER. For tests only. */
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { launchMinio, minioAnswers, MINIO, MINIO_USER } from './minio.ts'
import { createPassword, execute, findProgram, untilReady } from './process.ts'
import type { Recipe } from './recipe.ts'

/** MinIO's command line, which alone can make a tier. */
const MODULE = 'github.com/minio/mc@v0.0.0-20250313080218-cf909e1063a9'
const GO_FOLDERS = ['/usr/local/go/bin']
const BUCKET = 'archive'

const folderOf = (cache: string): string => join(cache, `mc-${MODULE.split('-').at(-1)}`)

export const MINIO_ARCHIVE: Recipe = {
  name: 'minio-archive',
  isOnlyByName: true,
  missing: () => MINIO.missing(),
  install(cache, say) {
    MINIO.install(cache, say)
    if (existsSync(join(folderOf(cache), 'mc'))) return
    say('MinIO’s command line: built from source, about 3 minutes')
    mkdirSync(folderOf(cache), { recursive: true })
    const environment = { GOBIN: folderOf(cache), CGO_ENABLED: '0' }
    execute(findProgram('go', GO_FOLDERS)!, ['install', MODULE], { environment })
  },
  async start(places, { launched }) {
    const password = createPassword()
    const [front, behind] = [
      await launchMinio(places, { name: 'front', password }),
      await launchMinio(places, { name: 'behind', password }),
    ]
    for (const { process } of [front, behind]) launched(process)
    const both = [front.endpoint, behind.endpoint]
    await untilReady('minio-archive', [front.process, behind.process], async () =>
      (await Promise.all(both.map(minioAnswers))).every(Boolean),
    )
    const mc = (...parameters: string[]): string =>
      execute(join(folderOf(places.cache), 'mc'), [
        ...['--config-dir', join(places.data, 'mc')],
        ...parameters,
      ])
    mc('alias', 'set', 'front', front.endpoint, MINIO_USER, password)
    mc('alias', 'set', 'behind', behind.endpoint, MINIO_USER, password)
    mc('mb', `behind/${BUCKET}`)
    mc(
      ...['ilm', 'tier', 'add', 'minio', 'front', 'GLACIER', '--bucket', BUCKET],
      ...['--endpoint', behind.endpoint, '--access-key', MINIO_USER, '--secret-key', password],
    )
    return {
      ...{ endpoint: front.endpoint, accessKey: MINIO_USER, secretKey: password },
      ...{ behind: behind.endpoint, behindBucket: BUCKET },
    }
  },
  answers: ({ endpoint = '' }) => minioAnswers(endpoint),
}
