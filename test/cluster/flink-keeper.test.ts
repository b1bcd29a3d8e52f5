/** The role that keeps the job, and people who change it meanwhile. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { until, weir } from '../system/weir-process.ts'
import { Installation, skip } from './cluster-process.ts'
import { rest } from './flink-fixture.ts'

const PIPELINE = 'version: 1\n'
/** One could be lucky. */
const UPGRADES = 6
const TIMEOUT_MS = 290_000

interface Overview {
  jobs: { jid: string; name: string; state: string }[]
}

test('an upgrade is not taken for a job that is gone', { skip, timeout: TIMEOUT_MS }, async (t) => {
  const at = await Installation.open(t, { pipeline: PIPELINE })
  await at.start('stream')
  const [config, pipeline] = [join(at.folder, 'cluster.yaml'), join(at.folder, 'pipeline.yaml')]
  writeFileSync(config, at.config())
  writeFileSync(pipeline, PIPELINE)
  const running = async (): Promise<string[]> => {
    const { jobs } = (await (await fetch(`${rest}/jobs/overview`)).json()) as Overview
    const own = jobs.filter((one) => one.name === at.name)
    return own.filter(({ state }) => /RUNNING|CREATED|RESTARTING/.test(state)).map((one) => one.jid)
  }
  await until('the job runs', async () => (await running()).length === 1, 60_000)
  const hasCheckpoint = async (id: string): Promise<boolean> => {
    const answer = await fetch(`${rest}/jobs/${id}/checkpoints`)
    const { latest } = (await answer.json()) as { latest?: { completed?: object | null } }
    return latest?.completed != null
  }
  for (let upgrade = 1; upgrade <= UPGRADES; upgrade++) {
    const [before = ''] = await running()
    await until('it has a checkpoint', () => hasCheckpoint(before), 60_000)
    const typed = weir(['flink', 'upgrade', '--pipeline', pipeline, '--config', config])
    assert.equal(await typed.end(), 0, `upgrade ${upgrade}\n${typed.output}\n${at.output}`)
    const [, id = ''] = /^Job ([0-9a-f]{32}) runs/m.exec(typed.stdout) ?? []
    assert.deepEqual(await running(), [id], `upgrade ${upgrade}\n${at.output}`)
  }
  // It would start again what is cancelled behind the test.
  await at.process('stream').stop()
})
