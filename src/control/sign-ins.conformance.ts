/** What every keeper of sign-ins must do. An adapter's test calls `testSignIns`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SIGN_IN_LIMITS, type SignInKind, type SignIns } from './control.ts'

/** One keeper, seen by any number of processes. */
export interface SignInsBench {
  open(): Promise<SignIns>
  /** So much time passes. */
  pass(durationMs: number): Promise<void>
  close(): Promise<void>
}

export interface SignInsTraits {
  name: string
  createBench(): Promise<SignInsBench>
  skip?: string | undefined
}

const KINDS: readonly SignInKind[] = ['code', 'session']
const DAY_MS = 86_400_000

export function testSignIns(traits: SignInsTraits): void {
  const promise = (title: string, run: (bench: SignInsBench) => Promise<void>): void => {
    test(`${title} [${traits.name}]`, { skip: traits.skip }, async () => {
      const bench = await traits.createBench()
      await run(bench).finally(() => bench.close())
    })
  }

  promise('I1 each process knows what another created, as what it is', async (bench) => {
    const [one, other] = [await bench.open(), await bench.open()]
    const code = await one.create('code')
    assert.match(code, /^[\w-]{43}$/)
    for (const signIns of [one, other]) assert.ok(await signIns.has('code', code))
    assert.equal(await other.has('session', code), false, 'a code is no session')
    assert.equal(await other.take('session', code), false)
    for (const wrong of ['', `${code}x`, code.slice(1), code.toLowerCase(), '\u0000'])
      assert.equal(await other.has('code', wrong), false)
  })

  promise('I2 of all that take a secret at once one gets it, and then nobody', async (bench) => {
    const all = await Promise.all(Array.from({ length: 4 }, () => bench.open()))
    for (const kind of KINDS) {
      const secret = await all[0]!.create(kind)
      const twice = [...all, ...all].map((signIns) => signIns.take(kind, secret))
      assert.equal((await Promise.all(twice)).filter((taken) => taken).length, 1)
      for (const signIns of all) assert.equal(await signIns.has(kind, secret), false)
    }
  })

  promise('I3 what is too old is not known, and cannot be taken', async (bench) => {
    const signIns = await bench.open()
    for (const kind of KINDS) {
      const [one, other] = [await signIns.create(kind), await signIns.create(kind)]
      await bench.pass(SIGN_IN_LIMITS[kind].lifetimeMs - 60_000)
      assert.ok(await signIns.has(kind, one))
      await bench.pass(60_000)
      assert.equal(await signIns.has(kind, one), false)
      assert.equal(await signIns.take(kind, other), false)
    }
  })

  promise('I4 the oldest give way, of each kind for itself', async (bench) => {
    const signIns = await bench.open()
    const session = await signIns.create('session')
    const { countMax } = SIGN_IN_LIMITS.code
    const codes: string[] = []
    for (let made = 0; made < countMax + 3; made++) codes.push(await signIns.create('code'))
    const known = await Promise.all(codes.map((code) => signIns.has('code', code)))
    assert.deepEqual(
      known,
      codes.map((_, at) => at >= 3),
    )
    assert.ok(await signIns.has('session', session))
    await bench.pass(DAY_MS)
    assert.ok(await signIns.has('code', await signIns.create('code')))
  })
}
