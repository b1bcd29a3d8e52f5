/** What every store must answer about many devices. */
import assert from 'node:assert/strict'
import type { SeriesDefinition } from '../batch/batch.ts'
import { BASE_MS, defineSeries, partialOf, type Given, type Promised } from './query-fixture.ts'
import type { GroupsQuestion } from './query.ts'

const ms = (time: number): number => (BASE_MS + time) * 1000
const MINUTE = 60_000

const ofDevice = (series: number, deviceId: string, deviceType: string): SeriesDefinition => ({
  ...defineSeries(series, 'temperature', { deviceId }),
  ...{ deviceType, device: series + 1 },
})

/** Device `a` has 0, 1, 2 … in each second, `b` 100 more, `c` 200 more, for two minutes. */
const FLEET: Given = {
  series: [ofDevice(0, 'a', 'pump'), ofDevice(1, 'b', 'pump'), ofDevice(2, 'c', 'fan')],
  readings: Array.from({ length: 120 }, (_, second) =>
    [0, 1, 2].map((series) => ({
      ...{ series, timeUs: ms(second * 1000), value: series * 100 + (second % 60) },
    })),
  ).flat(),
}

const ask = (parts: Partial<GroupsQuestion>): GroupsQuestion => ({
  ...{ tenant: 'default', metric: 'temperature', dimensions: {}, pointsMax: 10_000 },
  ...{ startUs: 0, endUs: 4e15, stepUs: undefined, aggregate: 'avg', groups: 'all' },
  ...parts,
})

export function testGroups(promise: Promised): void {
  promise('many devices: all together, by type, by device, or as the asker says', async (bench) => {
    const { query, give } = bench
    await give(FLEET)
    const of = async (parts: Partial<GroupsQuestion>): Promise<[string, number][]> => {
      const { groups, meta } = await query.groups(ask(parts))
      assert.equal(meta.completeness, 1)
      return groups.map(({ group, points }) => [
        group,
        Math.round(Number(points[0]![1]) * 1e6) / 1e6,
      ])
    }
    assert.deepEqual(await of({}), [['', 129.5]])
    assert.deepEqual(await of({ groups: 'type', aggregate: 'max' }), [
      ['fan', 259],
      ['pump', 159],
    ])
    assert.deepEqual(await of({ groups: 'device', aggregate: 'min', deviceTypes: ['pump'] }), [
      ['a', 0],
      ['b', 100],
    ])
    const groups = new Map([
      ['a', 'x'],
      ['c', 'y'],
      ['nobody', 'x'],
    ])
    assert.deepEqual(await of({ groups, aggregate: 'count' }), [
      ['x', 120],
      ['y', 120],
    ])
    assert.deepEqual(await of({ metric: 'pressure' }), [])
    assert.deepEqual(await of({ tenant: 'another' }), [])
    assert.deepEqual(await of({ aggregate: 'p50', groups: 'type' }), [
      ['fan', 229.5],
      ['pump', 79.5],
    ])
  })

  promise('many devices in steps: partials and readings make one answer', async (bench) => {
    const readings = FLEET.readings!.map((one) => ({ ...one, value: Number(one.value) }))
    const partials = [0, 1, 2].map((series) =>
      partialOf(
        readings.filter((one) => one.series === series && one.timeUs < ms(MINUTE)),
        { windowMs: MINUTE, isLate: false },
      ),
    )
    const coverage = { fromMs: BASE_MS, watermarkMs: BASE_MS + MINUTE - 1 }
    await bench.give({ ...FLEET, partials, coverage })
    const question = ask({ stepUs: MINUTE * 1000, groups: 'type', aggregate: 'sum' })
    const { groups } = await bench.query.groups(question)
    assert.deepEqual(groups, [
      {
        group: 'fan',
        points: [
          [BASE_MS, 13_770],
          [BASE_MS + MINUTE, 13_770],
        ],
      },
      {
        group: 'pump',
        points: [
          [BASE_MS, 9540],
          [BASE_MS + MINUTE, 9540],
        ],
      },
    ])
  })

  promise('many devices: what is of one device’s readings is refused', async ({ query, give }) => {
    await give(FLEET)
    const refusal = { code: 'API_PARAMETER_INVALID' }
    await assert.rejects(query.groups(ask({ aggregate: 'rate' })), refusal)
    const { groups } = await query.groups(ask({ aggregate: 'last', groups: 'device' }))
    assert.deepEqual(
      groups.map(({ group, points }) => [group, points[0]![1]]),
      [
        ['a', 59],
        ['b', 159],
        ['c', 259],
      ],
    )
  })
}
