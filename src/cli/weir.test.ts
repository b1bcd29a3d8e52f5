import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { DEVICE_MODELS } from '../fleet/fleet.ts'
import { parsePipeline } from '../pipeline/compile.ts'
import type { Metric } from '../pipeline/pipeline.ts'
import { DeviceTokens } from './device-tokens.ts'
import { Progress } from './progress.ts'
import { parseMoment } from './query.ts'
import { openReplayFile, type ReplayFile } from './replay-file.ts'
import { parsePair } from './send.ts'

const WEIR = fileURLToPath(new URL('./weir.ts', import.meta.url))
const PIPELINE = fileURLToPath(new URL('../fleet/demo.pipeline.yaml', import.meta.url))

const folder = mkdtempSync(join(tmpdir(), 'weir-cli-'))
after(() => rmSync(folder, { recursive: true }))

interface Ended {
  code: number
  out: string
  err: string
}

/** Runs the real command; nothing listens on port 1 of loopback. */
function weir(...args: string[]): Promise<Ended> {
  const { WEIR_ADMIN_KEY: _, ...env } = process.env
  const command = ['--disable-warning=ExperimentalWarning', WEIR, ...args]
  return new Promise((resolve) => {
    execFile(process.execPath, command, { env }, (error, out, err) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err }),
    )
  })
}

test('each way to fail has its exit code, and says title, detail and hint', async () => {
  const [unknown, keyless, unreachable, file, pipeline] = await Promise.all([
    weir('start', '--bogus'),
    weir('query', 'd', 'm'),
    weir('query', 'd', 'm', '--key', 'k', '--url', 'http://127.0.0.1:1'),
    weir('replay', join(folder, 'absent.csv'), '--key', 'k'),
    weir('pipeline', 'check', WEIR),
  ])
  assert.deepEqual([unknown.code, keyless.code, unreachable.code, file.code], [2, 2, 6, 2])
  assert.equal(pipeline.code, 2)
  assert.match(unknown.err, /unknown option '--bogus'/)
  assert.match(keyless.err, /CLI_USAGE_INVALID[\s\S]*WEIR_ADMIN_KEY[\s\S]*weir --help/)
  assert.match(unreachable.err, /cannot be reached \(CLIENT_UNREACHABLE\)\n {2}http:/)
})

test('flags of backups are theirs, and other stores are not taken for folders', async () => {
  const server = ['--key', 'k', '--url', 'http://127.0.0.1:1']
  const to = ['--to', join(folder, 'backups')]
  const [prune, make, other, list] = await Promise.all([
    weir('backup', 'prune', ...to, '--keep', '1', ...server),
    weir('backup', ...to, ...server),
    weir('backup', '--to', 'gs://bucket/weir', ...server),
    weir('backup', 'list', '--from', 'ftp://host/weir'),
  ])
  assert.deepEqual([prune.code, make.code, other.code, list.code], [6, 6, 2, 2], prune.err)
  assert.match(other.err, /gs:\/\/bucket\/weir is neither a folder nor s3:/)
})

test('what is no receipt is called so', async () => {
  const texts = ['null', '[]', '{}', '{"erasure":{},"key":5,"signature":[]}', '{"erasure":null}']
  const ends = await Promise.all(
    texts.map((text, at) => {
      const path = join(folder, `receipt-${at}.json`)
      writeFileSync(path, text)
      return weir('erasure', 'verify', path)
    }),
  )
  for (const { code, err } of ends) {
    assert.equal(code, 1)
    assert.match(err, /RECEIPT_INVALID[\s\S]*it is no receipt/)
  }
})

test('a reader that has seen enough is no fault', async () => {
  const command = [
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    WEIR,
    'query',
    '--help',
  ]
  // `true` reads nothing, and is gone before there is anything.
  const child = spawn('sh', ['-c', '"$@" | true', 'sh', ...command])
  let complaint = ''
  child.stderr.on('data', (bytes) => (complaint += String(bytes)))
  await once(child, 'close')
  assert.equal(complaint, '')
})

test('every command has help with an example', async () => {
  const { out } = await weir('--help')
  const names = [...out.matchAll(/^ {2}([a-z-]+) (?:\[|<| {2})/gm)].map((match) => match[1] ?? '')
  const commands = names.filter((name) => name !== 'help' && name !== 'weir')
  assert.ok(commands.length >= 9, commands.join())
  const pages = await Promise.all(commands.map((name) => weir(name, '--help')))
  pages.forEach((page, i) => {
    assert.ok(/Examples?:\n/.test(page.out), `${commands[i]} has no example`)
  })
})

test('pipeline check says what a new schema version breaks', async () => {
  const file = join(folder, 'versions.yaml')
  const schema = (max: number): string => `{temperature: {unit: "°C", max: ${max}}}`
  writeFileSync(
    file,
    `version: 1\ntypes: {pump: {schemas: {1: ${schema(150)}, 2: ${schema(120)}}}}`,
  )
  const { code, out } = await weir('pipeline', 'check', file)
  assert.equal(code, 0)
  assert.match(
    out,
    /pump@1 to pump@2: forward compatible; breaks: temperature max went from 150 to/,
  )
})

test('config check and print agree, and a wrong key is named with the nearest one', async () => {
  const good = join(folder, 'good.yaml')
  writeFileSync(good, 'http: {port: 8123}\n')
  const bad = join(folder, 'bad.yaml')
  writeFileSync(bad, 'http: {prot: 8123}\n')
  const [print, check, wrong] = await Promise.all([
    weir('config', 'print', '--config', good),
    weir('config', 'check', '--config', good),
    weir('config', 'check', '--config', bad),
  ])
  assert.match(print.out, /port: 8123/)
  assert.equal(check.code, 0)
  assert.equal(wrong.code, 2)
  assert.match(wrong.err, /CONFIG_KEY_UNKNOWN[\s\S]*prot[\s\S]*port/)
})

test('lake ddl prints a table for each engine, and names what is wrong', async () => {
  const engines = ['trino', 'athena', 'spark', 'duckdb']
  const flags = ['--location', 's3://bucket/']
  const printed = await Promise.all(
    engines.map((engine) => weir('lake', 'ddl', '--engine', engine, ...flags)),
  )
  for (const { code, out } of printed) {
    assert.equal(code, 0)
    assert.match(out, /s3a?:\/\/bucket\/readings\//)
    assert.match(out, /tenant[\s\S]*type[\s\S]*year[\s\S]*month/)
  }
  for (const wrong of [
    ['--engine', 'excel', ...flags],
    ['--engine', 'trino'],
    ['--engine', 'trino', ...flags, '--table', 'a; b'],
    ['--engine', 'trino', ...flags, '--times', 'date'],
  ])
    assert.equal((await weir('lake', 'ddl', ...wrong)).code, 2)
  const integers = await weir('lake', 'ddl', '--engine', 'athena', ...flags, '--times', 'bigint')
  assert.match(integers.out, /`time` bigint/)
})

test('the completion scripts know commands, subcommands and flags', async () => {
  const [bash, zsh, fish] = await Promise.all(
    ['bash', 'zsh', 'fish'].map((shell) => weir('completion', shell)),
  )
  for (const script of [bash, zsh, fish]) assert.match(script?.out ?? '', /simulate[\s\S]*check/)
  const line = 'COMP_WORDS=(weir config check --m); COMP_CWORD=3; _weir; echo "${COMPREPLY[@]}"'
  const completed = await new Promise<string>((resolve) =>
    execFile('bash', ['-c', `${bash?.out ?? ''}\n${line}`], (_, out) => resolve(out.trim())),
  )
  assert.equal(completed, '--mqtt-port')
})

test('the demo’s pipeline is right, and each model of the fleet fits its type', () => {
  const plan = parsePipeline(readFileSync(PIPELINE, 'utf8'), PIPELINE)
  for (const model of DEVICE_MODELS) {
    const schema = plan.types[model.type]?.schemas.at(-1)
    assert.ok(schema !== undefined, model.type)
    for (let i = 0; i < 3000; i++) {
      const timeUs = 1_790_000_000_000_000 + i * 37_000_000
      const situation = { seed: 7, deviceId: `${model.type}-01`, timeUs }
      const metrics = model.measure({ ...situation, startUs: timeUs - i * 1_000_000 })
      for (const [name, value] of Object.entries(metrics)) {
        const metric: Metric | undefined = schema.metrics.find(
          (candidate) => candidate.name === name,
        )
        assert.ok(metric !== undefined, `${model.type} has no ${name}`)
        const kind = typeof value === 'string' ? 'text' : typeof value
        assert.equal(kind, metric.type, `${model.type}.${name}`)
        if (typeof value === 'number')
          assert.ok(value >= metric.min && value <= metric.max, `${name} = ${value}`)
        if (typeof value === 'string') assert.ok(metric.values?.includes(value) ?? true, value)
      }
      for (const metric of schema.metrics.filter(({ isRequired }) => isRequired))
        assert.ok(metric.name in metrics, `${model.type} without ${metric.name}`)
    }
  }
})

async function readAll(file: ReplayFile): Promise<string> {
  let text = ''
  for await (const piece of file.pieces()) text += piece
  return text
}

test('plain, gzip and Zstandard files read the same; a damaged one is named', async () => {
  const text = 'zeile é\n'.repeat(50_000)
  const plain = Buffer.from(text)
  const files = { 'a.txt': plain, 'a.gz': gzipSync(plain), 'a.zst': zstdCompressSync(plain) }
  for (const [name, bytes] of Object.entries(files)) {
    const path = join(folder, name)
    writeFileSync(path, bytes)
    const file = await openReplayFile(path)
    assert.equal(await readAll(file), text, name)
    assert.equal(file.bytesRead(), bytes.length)
  }
  const path = join(folder, 'broken.gz')
  writeFileSync(path, files['a.gz'].subarray(0, 100))
  const broken = await openReplayFile(path)
  await assert.rejects(readAll(broken), { code: 'DATA_FILE_DAMAGED' })
})

test('tokens survive in a file that only its owner reads', () => {
  const path = join(folder, 'below', 'tokens.json')
  const tokens = new DeviceTokens(path)
  tokens.set('a', 'secret')
  tokens.save()
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.equal(new DeviceTokens(path).get('a'), 'secret')
  assert.equal(new DeviceTokens(join(folder, 'none.json')).get('a'), undefined)
  writeFileSync(path, '{')
  assert.throws(() => new DeviceTokens(path), { code: 'DATA_FILE_DAMAGED' })
})

test('a progress bar is drawn on terminals only', () => {
  const drawn: string[] = []
  const output = { isTTY: true, write: (text: string) => drawn.push(text) }
  const bar = new Progress(200, output)
  bar.update(50, 'words')
  bar.finish()
  assert.match(drawn.join(''), /█{7}░{21} {2}25 % {2}words/)
  drawn.length = 0
  new Progress(200, { ...output, isTTY: false }).update(50, 'words')
  assert.deepEqual(drawn, [])
})

test('what a person types as a time or a value', () => {
  assert.equal(parseMoment('now', 5000), 5000)
  assert.equal(parseMoment('-1.5h', 10_000_000), 10_000_000 - 5_400_000)
  assert.equal(parseMoment('1700000000000', 0), 1_700_000_000_000)
  assert.equal(parseMoment('2026-01-01T00:00:00Z', 0), Date.UTC(2026, 0, 1))
  for (const text of ['2026-01-01', '2026-01-01T00:00:00', 'soon', '-3w'])
    assert.throws(() => parseMoment(text, 0), { code: 'CLI_USAGE_INVALID' }, text)
  const pairs = ['t=21.5', 'on=true', 's=a=b', 'q="42"', 'n=-1e3', 'e=']
  assert.deepEqual(Object.fromEntries(pairs.map(parsePair)), {
    ...{ t: 21.5, on: true, s: 'a=b', q: '42', n: -1000, e: '' },
  })
  assert.throws(() => parsePair('21.5'), { code: 'CLI_USAGE_INVALID' })
})
