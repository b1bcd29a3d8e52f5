/** For tests: the embedded store as the suite of questions wants it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Given, QueryBench } from '../query/query-fixture.ts'
import type { QueryLimits, ReadingScan, Value } from '../query/query.ts'
import { FATE_FRESH, FATE_UNVERIFIED } from '../stream/stream.ts'
import { nodeWorld } from '../world/node-world.ts'
import type { EmbeddedStorage } from './embedded-storage.ts'
import { openStorage } from './open-storage.ts'
import { makeOutput } from './storage-fixture.ts'

/** `isCommitted`: what is given goes to files at once. Otherwise it stays in memory. */
export async function openEmbeddedBench(
  limits: QueryLimits,
  { isCommitted }: { isCommitted: boolean },
): Promise<QueryBench & { scan: ReadingScan; store: EmbeddedStorage; folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-query-'))
  const store = await openStorage({ folder, world: nodeWorld, options: { limits } })
  const texts = new Map<string, number>()
  const identities = new Set<string>()
  let offset = 0
  return {
    ...{ store, folder },
    query: store,
    scan: store,
    async give(given) {
      const added: [number, string][] = []
      const numberOf = (value: Value): number => {
        if (typeof value !== 'string') return Number(value)
        if (!texts.has(value)) added.push([texts.size, value])
        return texts.get(value) ?? texts.set(value, texts.size).size - 1
      }
      const readings = (given.readings ?? []).map(({ series, timeUs, value }) => {
        const identity = `${series}:${timeUs}`
        const fate = identities.has(identity) ? FATE_UNVERIFIED : FATE_FRESH
        identities.add(identity)
        return { series, timeUs, value: numberOf(value), fate }
      })
      store.output(makeOutput({ ...partsOf(given), offset, readings, texts: added }))
      if (isCommitted) await store.commit({ offset, parts: [] })
      offset++
    },
    async close() {
      await store.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

const partsOf = ({ series, partials, dirty, anomalies, deadLetters }: Given) => ({
  series: [...(series ?? [])],
  partials: [...(partials ?? [])],
  dirty: [...(dirty ?? [])],
  anomalies: [...(anomalies ?? [])],
  deadLetters: [...(deadLetters ?? [])],
})
