import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { checkTopicFilter, matchesFilter, splitShared } from './topic.ts'

/** Section 4.7, level by level and with recursion: what the linear one must equal. */
function matchesLevels(filter: string[], topic: string[]): boolean {
  if (filter[0] === '#') return true
  if (filter.length === 0) return topic.length === 0
  if (topic.length === 0) return false
  const isLevelEqual = filter[0] === '+' || filter[0] === topic[0]
  return isLevelEqual && matchesLevels(filter.slice(1), topic.slice(1))
}

const matchesNaively = (filter: string, topic: string): boolean =>
  !(topic.startsWith('$') && /^[+#]/.test(filter)) &&
  matchesLevels(filter.split('/'), topic.split('/'))

test('4.7 a filter matches what the specification’s examples say', () => {
  const cases: [string, string, boolean][] = [
    ['sport/tennis/player1/#', 'sport/tennis/player1', true],
    ['sport/tennis/player1/#', 'sport/tennis/player1/ranking', true],
    ['sport/tennis/player1/#', 'sport/tennis/player1/score/wimbledon', true],
    ['sport/#', 'sport', true],
    ['sport/#', 'sports', false],
    ['#', 'a/b', true],
    ['sport/tennis/+', 'sport/tennis/player1', true],
    ['sport/tennis/+', 'sport/tennis/player1/ranking', false],
    ['sport/+', 'sport', false],
    ['sport/+', 'sport/', true],
    ['+/+', '/finance', true],
    ['/+', '/finance', true],
    ['+', '/finance', false],
    ['#', '$SYS/a', false],
    ['+/monitor/Clients', '$SYS/monitor/Clients', false],
    ['$SYS/#', '$SYS/', true],
    ['$SYS/monitor/+', '$SYS/monitor/Clients', true],
    ['ACCOUNTS', 'Accounts', false],
    ['a', 'ab', false],
    ['ab', 'a', false],
  ]
  for (const [filter, topic, expected] of cases) {
    assert.equal(matchesFilter(filter, topic), expected, `${filter} ${topic}`)
  }
})

test('4.7 matching equals the naive one on random filters and topics', () => {
  const level = fc.constantFrom('', 'a', 'b', 'ab', '$', 'a$')
  const topic = fc.array(level, { minLength: 1, maxLength: 6 }).map((levels) => levels.join('/'))
  const filter = fc
    .tuple(
      fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 6 }),
      fc.boolean(),
    )
    .map(([levels, isOpen]) => [...levels, ...(isOpen ? ['#'] : [])].join('/'))
  fc.assert(
    fc.property(filter, topic, (pattern, name) => {
      assert.equal(matchesFilter(pattern, name), matchesNaively(pattern, name))
    }),
    { numRuns: 5000 },
  )
})

test('row 54: the longest filter of wildcards costs one pass over the topic', () => {
  const filter = `${'+/'.repeat(126)}#`
  const topic = `${'x'.repeat(500)}/`.repeat(127)
  checkTopicFilter(filter)
  assert.equal(matchesFilter(filter, topic), true)
  assert.equal(matchesFilter(`${'+/'.repeat(127)}y`, topic), false)
})

test('4.8.2 shared filters are split at the first level behind the name', () => {
  assert.equal(splitShared('share/a/b'), undefined)
  assert.deepEqual(splitShared('$share/g/a/b'), {
    shareName: 'g',
    topicFilter: 'a/b',
    isValid: true,
  })
})
