/** The short way: each decoder's properties once, with a seed of the day that a failure prints. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { broken, replayCommand } from './claim.ts'
import { TARGETS } from './targets.ts'

const seed = Date.now() % 2 ** 31

for (const [name, load] of Object.entries(TARGETS)) {
  test(`fuzz ${name}`, async (t) => {
    const target = await load()
    t.after(() => target.close?.())
    for (const claim of target.claims) {
      await t.test(claim.what, async () => {
        const report = await broken(claim, seed)
        assert.equal(report, undefined, `Replay it: ${replayCommand(name, seed)}`)
      })
    }
  })
}
