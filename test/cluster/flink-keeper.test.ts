/** The role that keeps the job, and people who change it meanwhile. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { until } from '../system/weir-process.ts'
import { restartService } from './cluster.ts'
import { Installation, skip } from './cluster-process.ts'
import { JOB_MANAGER, rest } from './flink-fixture.ts'

const PIPELINE = 'version: 1\n'
const OTHER = `${PIPELINE}rules:\n  - { id: hot, type: generic, when: temperature > 90 }\n`
/** One could be lucky. */
const UPGRADES = 2
const TIMEOUT_MS = 290_000
const START_MS_MAX = 60_000
/** Some looks of the role. */
const LOOKS_MS = 10_000

interface Overview {
  jobs: { jid: string; name: string; state: string }[]
}

/** An installation whose role keeps a job, and the ids of its jobs that run. */
async function open(
  t: TestContext,
): Promise<{ at: Installation; running: () => Promise<string[]> }> {
  const at = await Installation.open(t, { pipeline: PIPELINE })
  await at.start('stream')
  const running = async (): Promise<string[]> => {
    const { jobs } = (await (await fetch(`${rest}/jobs/overview`)).json()) as Overview
    const own = jobs.filter((one) => one.name === at.name)
    return own.filter(({ state }) => /RUNNING|CREATED|RESTARTING/.test(state)).map((one) => one.jid)
  }
  await until('the job runs', async () => (await running()).length === 1, START_MS_MAX)
  return { at, running }
}

test(
  'F5 a job that is gone comes back as it ran last; one that somebody ended does not',
  { skip, timeout: TIMEOUT_MS },
  async (t) => {
    const { at, running } = await open(t)
    const other = at.writePipeline('other', OTHER)
    // What is ended and started again is not taken for a job that is gone.
    for (let upgrade = 1; upgrade <= UPGRADES; upgrade++) {
      const said = await at.flinkDoes('upgrade', '--pipeline', other)
      const [, id = ''] = /^Job ([0-9a-f]{32}) runs/m.exec(said) ?? []
      assert.deepEqual(await running(), [id], at.output)
    }
    await at.killService('flink', JOB_MANAGER)
    await restartService('flink')
    await until('it is back', async () => (await running()).length === 1, START_MS_MAX)
    // The role has the first pipeline, and says so.
    const kept = await at.flinkDoes('upgrade', '--check', '--pipeline', other)
    assert.match(kept, /^Job [0-9a-f]{32}: its state can be kept\.\n$/)
    await until('the role tells it', () => at.output.includes('flink_job_differs'), START_MS_MAX)

    await at.flinkDoes('cancel')
    await until('the role tells it', () => at.output.includes('flink_job_ended'), START_MS_MAX)
    await new Promise((resolve) => setTimeout(resolve, LOOKS_MS))
    assert.deepEqual(await running(), [])

    // F1 of two that start it one does.
    const words = ['submit', '--resume', '--pipeline', other]
    const both = [at.flink(...words), at.flink(...words)]
    const codes = await Promise.all(both.map((one) => one.end()))
    assert.deepEqual(
      codes.toSorted((one, other) => one! - other!),
      [0, 3],
      both.map(({ output }) => output).join('\n'),
    )
    assert.ok(both.some(({ stderr }) => stderr.includes('(FLINK_JOB_RUNNING)')))
    assert.equal((await running()).length, 1)
  },
)
