/**
 * What every control database must do with the rows that people edit. An adapter's test calls
 * `testDatabase` with how to open it.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Change, ControlDatabase, SqlRow } from './database.ts'

/** One store: opened again and again, also while it is open already if `isShared`. */
export interface DatabaseBench {
  open(): Promise<ControlDatabase>
  /** A process that runs `database-writer-fixture.ts` on the store, and how to end it. */
  startWriter(): Promise<Writer>
}

export interface Writer {
  /** The newest round that was acknowledged so far. */
  acknowledged(): number
  /** `kill -9`; resolves when it has ended. */
  kill(): Promise<void>
}

export interface DatabaseTraits {
  name: string
  createBench(): Promise<DatabaseBench>
  skip?: string | undefined
  /** Several processes use one store at once. */
  isShared: boolean
}

/** A row of a definition; what a test does not say is the same in all. */
export const definition = (id: string, revision: number, more: SqlRow = {}): SqlRow => ({
  ...{ kind: 'rule', tenant: 'default', id, revision, is_removed: 0, published: 0 },
  ...{ updated_at_us: 1_800_000_000_123_456, value: JSON.stringify({ id, revision }) },
  ...more,
})

const put = (id: string, revision: number, expected?: number): Change => ({
  ...{ table: 'definition', put: definition(id, revision) },
  ...(expected === undefined ? {} : { expected }),
})

const remove = (id: string, expected?: number): Change => ({
  ...{ table: 'definition', remove: { kind: 'rule', tenant: 'default', id } },
  ...(expected === undefined ? {} : { expected }),
})

/** `a1 b2`: ids and revisions. */
async function held(database: ControlDatabase): Promise<string> {
  const rows = await database.select('definition', 'WHERE kind = $1 ORDER BY id', ['rule'])
  return rows.map(({ id, revision }) => `${String(id)}${String(revision)}`).join(' ')
}

type Run = (database: ControlDatabase, bench: DatabaseBench) => Promise<void>
type Promised = (name: string, run: Run, skip?: string | false) => void

export function testDatabase(traits: DatabaseTraits): void {
  const promise: Promised = (name, run, skip = false) => {
    test(`${name} [${traits.name}]`, { skip: traits.skip ?? skip }, async () => {
      const bench = await traits.createBench()
      const database = await bench.open()
      try {
        await run(database, bench)
      } finally {
        await database.close()
      }
    })
  }
  testRows(promise)
  testExpectations(promise)
  testConcurrency(promise)
  testCrash(promise, traits.isShared ? false : 'one process has it')
}

function testRows(promise: Promised): void {
  promise('D5 rows come back as they were written', async (database) => {
    const texts = ['', 'a', 'Ä泵😀', "'; DROP TABLE device; --", '\\u0000 \\x00', '"', '\n', '{}']
    const rows = texts.map((text, at) =>
      definition(`r${at}`, at + 1, { value: text, tenant: text === '' ? 'default' : text }),
    )
    const largest = definition('r9', Number.MAX_SAFE_INTEGER, { published: 2 ** 53 - 1 })
    rows.push(largest)
    const changes = rows.map((row): Change => ({ table: 'definition', put: row }))
    assert.equal(await database.write(changes), true)
    const found = await database.select('definition', 'ORDER BY id', [])
    for (const [at, row] of rows.entries()) {
      const { row_crc: _, ...values } = found[at]!
      assert.deepEqual({ ...values }, row)
    }
    assert.equal(await database.count('definition', 'WHERE revision > $1', [2]), rows.length - 2)
  })

  promise('D5 half of a surrogate pair does not make a row a damaged one', async (database) => {
    const row = definition('a', 1, { value: 'a\ud800b' })
    assert.equal(await database.write([{ table: 'definition', put: row }]), true)
    const [found] = await database.select('definition', '', [])
    assert.equal(found?.['value'], 'a\ufffdb')
  })

  promise('D5 a row that lacks a column is refused, and nothing is written', async (database) => {
    const { value: _, ...rest } = definition('b', 1)
    const wrong: Change = { table: 'definition', put: rest }
    await assert.rejects(database.write([put('a', 1), wrong]), { code: 'CONTROL_WRITE_FAILED' })
    assert.equal(await held(database), '')
    assert.equal(await database.write([put('a', 1)]), true)
    assert.equal(await held(database), 'a1')
  })

  promise('D5 ten thousand rows are one write, and nothing is a write, too', async (database) => {
    const ids = Array.from({ length: 10_000 }, (_, at) => `r${at}`)
    const writeAll = (revision: number, expected?: number): Promise<boolean> =>
      database.write(ids.map((id) => put(id, revision, expected)))
    assert.equal(await writeAll(1), true)
    assert.equal(await writeAll(2, 1), true)
    assert.equal(await database.count('definition', 'WHERE revision = $1', [2]), ids.length)
    assert.equal(await database.write(ids.map((id) => remove(id, 2))), true)
    assert.equal(await database.count('definition', '', []), 0)
    assert.equal(await database.write([]), true)
  })
}

function testExpectations(promise: Promised): void {
  promise('D5 a revision that is another one changes nothing', async (database) => {
    assert.equal(await database.write([put('a', 1, 0), put('b', 1)]), true)
    for (const stale of [
      [put('c', 1), put('a', 2, 2)],
      [put('a', 2, 1), put('b', 5, 4), put('c', 1)],
      [put('a', 2, 1), remove('b', 2)],
      [put('nobody', 2, 1)],
      [remove('nobody', 1)],
    ]) {
      assert.equal(await database.write(stale), false)
      assert.equal(await held(database), 'a1 b1')
    }
    assert.equal(await database.write([put('a', 7, 1), remove('b', 1), put('c', 1)]), true)
    assert.equal(await held(database), 'a7 c1')
  })

  promise('D5 a key that is taken changes nothing', async (database) => {
    await database.write([put('a', 1)])
    for (const taken of [[put('c', 1), put('a', 2)], [put('a', 2, 0)], [put('c', 1), put('c', 2)]])
      assert.equal(await database.write(taken), false)
    assert.equal(await held(database), 'a1')
  })

  promise('D5 ignore leaves what is there, and the rest is done', async (database) => {
    await database.write([put('b', 1)])
    const changes = ['a', 'b', 'c'].map((id): Change => ({ ...put(id, 9), ignore: true }))
    assert.equal(await database.write([...changes, put('d', 1)]), true)
    assert.equal(await held(database), 'a9 b1 c9 d1')
    assert.equal(await database.write([...changes, put('d', 2)]), false)
  })

  promise('D5 what is to be removed may be gone already', async (database) => {
    await database.write([put('a', 1), put('b', 1)])
    assert.equal(await database.write([remove('a'), remove('nobody'), put('c', 1)]), true)
    assert.equal(await held(database), 'b1 c1')
  })
}

function testConcurrency(promise: Promised): void {
  promise('D5 writes of one moment share no fate', async (database) => {
    const writes = [
      [put('a', 1), put('b', 1)],
      [put('c', 1), put('a', 2)],
      [put('d', 1)],
      [put('d', 2, 1), put('e', 1)],
      [put('f', 1), put('g', 2, 1)],
    ]
    const answers = await Promise.all(writes.map((changes) => database.write(changes)))
    // Where each is a transaction of its own, who is first is not said.
    const rows = new Set((await held(database)).split(' ').map((row) => row[0]))
    for (const [at, ids] of ['ab', 'c', 'd', 'de', 'f'].entries())
      for (const id of ids) assert.ok(!answers[at] || rows.has(id), `${id} of write ${at}`)
    assert.equal(rows.has('f'), false)
    assert.notEqual(answers[0], answers[1])
    assert.equal(rows.has('b'), answers[0])
    assert.equal(rows.has('c'), answers[1])
    assert.equal(rows.has('e'), answers[3])
  })

  promise('D5 of many who edit one revision one wins, each time', async (database) => {
    await database.write([put('a', 1), put('b', 1)])
    for (let revision = 1; revision <= 10; revision++) {
      // Half of them in the other order: they wait for each other.
      const asked = Array.from({ length: 8 }, (_, at) => {
        const changes = [put('a', revision + 1, revision), put('b', revision + 1, revision)]
        return database.write(at % 2 === 0 ? changes : changes.toReversed())
      })
      const answers = await Promise.all(asked)
      assert.equal(answers.filter(Boolean).length, 1)
      assert.equal(await held(database), `a${revision + 1} b${revision + 1}`)
    }
  })

  promise('D1 what is asked while a write is under way is not half of it', async (database) => {
    let isOver = false
    const writing = (async () => {
      for (let revision = 1; revision <= 50; revision++) {
        const ids = ['a', 'b', 'c']
        assert.ok(await database.write(ids.map((id) => put(id, revision, revision - 1))))
      }
    })().finally(() => (isOver = true))
    while (!isOver) {
      const revisions = (await held(database)).split(' ').map((row) => row.slice(1))
      assert.equal(new Set(revisions).size, 1, revisions.join())
    }
    await writing
  })
}

function testCrash(promise: Promised, skipSharing: string | false): void {
  for (const atLeast of [1, 3, 10, 30])
    promise(
      `D5 killed after ${atLeast} writes: each was made whole or not`,
      async (opened, bench) => {
        await opened.close()
        const writer = await bench.startWriter()
        while (writer.acknowledged() < atLeast) await new Promise(setImmediate)
        await writer.kill()
        const database = await bench.open()
        const rows = await database.select('definition', 'ORDER BY id', [])
        const revisions = new Set(rows.map(({ revision }) => revision as number))
        assert.equal(rows.length, 20)
        assert.equal(revisions.size, 1, [...revisions].join())
        const [revision = 0] = revisions
        assert.ok(revision >= writer.acknowledged(), `${revision} of ${writer.acknowledged()}`)
        await database.close()
      },
    )

  promise(
    'D5 of two processes that edit at once one wins, each time',
    async (database, bench) => {
      const other = await bench.open()
      await database.write([put('a', 1), put('b', 1)])
      for (let revision = 1; revision <= 20; revision++) {
        const changes = [put('a', revision + 1, revision), put('b', revision + 1, revision)]
        const answers = await Promise.all([
          database.write(changes),
          other.write(changes.toReversed()),
        ])
        assert.equal(answers.filter(Boolean).length, 1)
      }
      await other.close()
    },
    skipSharing,
  )
}
