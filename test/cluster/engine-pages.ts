/** A whole run of an engine. */
import type { EnginePage, LakeEngine } from '../../src/lake-engine/lake-engine.ts'

export async function pagesOf(
  engine: LakeEngine,
  ...how: Parameters<LakeEngine['run']>
): Promise<EnginePage[]> {
  const pages: EnginePage[] = []
  for await (const page of engine.run(...how)) pages.push(page)
  return pages
}

export const rowsOf = async (
  ...how: Parameters<typeof pagesOf>
): Promise<EnginePage['rows'][number][]> => (await pagesOf(...how)).flatMap(({ rows }) => rows)
