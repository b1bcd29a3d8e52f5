/** Jobs that a server does in the background, as the commands wait for them. */
import type { ApiClient } from './api-client.ts'
import { Progress } from './progress.ts'

/** Between two questions how far it is. */
const POLL_MS = 200

interface Job {
  state: 'running' | 'done' | 'failed'
}

/** A job over files. */
export interface FilesJob extends Job {
  files_done: number
  files_total: number
  bytes_done: number
  bytes_total: number
}

/** How it ended. `look` is told each answer, the last too. */
export async function untilDone<Status extends Job>(
  client: ApiClient,
  path: string,
  look: (status: Status) => void = () => undefined,
): Promise<Status> {
  for (;;) {
    const status = await client.get<Status>(path)
    look(status)
    if (status.state !== 'running') return status
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

/** The same, with a bar of its bytes. */
export async function untilFilesDone<Status extends FilesJob>(
  client: ApiClient,
  path: string,
): Promise<Status> {
  let progress: Progress | undefined
  const status = await untilDone<Status>(client, path, (now) => {
    progress ??= now.bytes_total > 0 ? new Progress(now.bytes_total) : undefined
    progress?.update(now.bytes_done, `${now.files_done} of ${now.files_total} files`)
  })
  progress?.finish()
  return status
}
