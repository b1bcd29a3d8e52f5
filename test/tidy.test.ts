/**
 * The project's own rules, checked on its own files. Which folder may
 * import which stands in tidy/layers.ts.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { SETTINGS } from '../src/config/config.ts'
import { valueKey } from '../src/config/settings.ts'
import { LAYERS } from './tidy/layers.ts'
import { exists, filesUnder, importsOf, isForTests, layerOf } from './tidy/sources.ts'
import { readText, ROOT } from './tidy/sources.ts'

/** They choose the adapters and bring them together, so they may import any file of a layer. */
const COMPOSITION_ROOTS = ['embedded', 'cluster', 'cli']

/** Files beside a folder's face that others may import, and why. */
const DOORS: Record<string, { to: string; why: string }[]> = {
  'src/web/build.ts': [
    { to: 'src/world/node-world.ts', why: 'it is a program of its own, run by npm' },
  ],
  'src/backtest/device-replay.ts': ['rule-engine', 'replay-windows'].map((name) => ({
    to: `src/stream/${name}.ts`,
    why: 'the rules of a back-test are the stream’s own',
  })),
  'src/backtest/folding.ts': [
    { to: 'src/alerts/alert-machine.ts', why: 'alerts of a back-test are those of live' },
  ],
  'src/alerts/open-channel.ts': ['webhook', 'slack', 'email', 'aws'].map((name) => ({
    to: `src/notify/${name}.ts`,
    why: 'it opens the channel that a recipient names, and loads none that nobody names',
  })),
}

/** Tests run on the real world, or on the adapters that keep nothing. */
const TEST_DOORS = [
  ...['books', 'open-alerts', 'rule-book', 'rule-log-fixture'].map((one) => `src/alerts/${one}.ts`),
  'src/world/node-world.ts',
  'src/world/memory-disk.ts',
  'src/world/simulated-clock.ts',
  'src/storage/plain-files.ts',
  'src/query/query-fixture.ts',
  'src/log/memory-log.ts',
  'src/cache/memory-cache.ts',
  'src/fanout/memory-fanout.ts',
  'src/control/sqlite-control.ts',
  'src/control/memory-sign-ins.ts',
  'src/control/remote-device-reader.ts',
  'src/api/testing/alert-body.ts',
  'src/pipeline/compile.ts',
]

/** What the tests of one file need besides, and why. */
const TESTED_TOGETHER: Record<string, { layer: string; why: string }> = {
  'src/alerts/charts.test.ts': { layer: 'notify', why: 'it has a notification to draw for' },
  'src/alerts/dispatcher.test.ts': {
    layer: 'notify',
    why: 'receivers that hang, fail and lie stand there',
  },
  'src/api/routes/recipients.test.ts': { layer: 'notify', why: 'a test message goes to somebody' },
  'src/api/routes/alerts.test.ts': { layer: 'stream', why: 'episodes are what a stream says' },
  'src/api/testing/memory-pipeline.ts': { layer: 'stream', why: 'it says what a stream would' },
  'src/cli/desk.test.ts': { layer: 'api', why: 'commands are run against a server' },
  'src/embedded/embedded.test.ts': {
    layer: 'sqlite',
    why: 'it writes a newer format, checksum included',
  },
  'src/gateway/log-tail.test.ts': { layer: 'log', why: 'only files can be damaged' },
  'src/line-sink/line-encoder.test.ts': {
    layer: 'line-protocol',
    why: 'what was written is read back by the parser of our own doors',
  },
  'src/backup/prune-backups.test.ts': { layer: 'objects', why: 'backups are in a store' },
  'src/lake/erase-commits.test.ts': { layer: 'objects', why: 'it keeps its files in a store' },
  'src/lake/lake.test.ts': { layer: 'objects', why: 'it keeps its files in a store' },
  'src/storage/aging.test.ts': { layer: 'objects', why: 'cold files are kept in a store' },
  'src/storage/aging-fixture.ts': { layer: 'objects', why: 'cold files are kept in a store' },
  'src/storage/erasure.test.ts': { layer: 'objects', why: 'cold files are kept in a store' },
  'src/storage/verify.test.ts': { layer: 'objects', why: 'cold files are kept in a store' },
  'src/query/scan.test.ts': { layer: 'storage', why: 'what is scanned is a real store' },
  'src/query/query.test.ts': { layer: 'storage', why: 'answers are computed from a real store' },
}

/** Programs that someone or something starts; all else must be reached from them. */
const PROGRAMS = [
  'src/cli/weir.ts',
  'src/cli/generate-docs.ts',
  'src/cli/build-package.ts',
  'src/web/build.ts',
  'src/web/main.ts',
]

/** Complete and put through its port's suite, but no program opens it yet, and why. */
const COMING: Record<string, string> = {
  'src/log/kafka-log.ts':
    'it holds Kafka to the suite of logs; roles have many partitions at once, and use src/kafka',
}

const LINES_MAX = 400
const COLUMNS_MAX = 100

const sources = filesUnder('src', '.ts')
const code = [...sources, ...filesUnder('test', '.ts'), ...filesUnder('bench', '.ts')]
const pages = filesUnder('', '.md')

test('a folder imports only the folders that the table gives it', () => {
  assert.deepEqual(
    [...new Set(sources.map(layerOf))].filter((layer) => LAYERS[layer ?? ''] === undefined),
    [],
    'folders that are not in the table',
  )
  const used = new Set<string>()
  const wrong = sources.flatMap(importsOf).filter(({ from, to }) => {
    const [source = '', target] = [layerOf(from), layerOf(to)]
    if (target === undefined || source === target) return false
    if (isForTests(from)) {
      const isDoor = TEST_DOORS.includes(to) || TESTED_TOGETHER[from]?.layer === target
      return !isDoor && !LAYERS[source]!.includes(target)
    }
    used.add(`${source} → ${target}`)
    return !LAYERS[source]!.includes(target)
  })
  assert.deepEqual(wrong, [])
  const unused = Object.entries(LAYERS)
    .flatMap(([layer, below]) => below.map((one) => `${layer} → ${one}`))
    .filter((arrow) => !used.has(arrow))
  assert.deepEqual(unused, [], 'arrows that no file needs')
})

test('the layers stand in order, so that there is no circle', () => {
  const order = Object.keys(LAYERS)
  for (const [layer, below] of Object.entries(LAYERS)) {
    for (const one of below)
      assert.ok(order.indexOf(one) < order.indexOf(layer), `${layer} → ${one}`)
  }
})

test('others import a folder’s face and nothing behind it; adapters only where parts meet', () => {
  const wrong = sources.flatMap(importsOf).filter(({ from, to }) => {
    const [source = '', target] = [layerOf(from), layerOf(to)]
    if (target === undefined || source === target) return false
    if (to === `src/${target}/${target}.ts` || COMPOSITION_ROOTS.includes(source)) return false
    if (isForTests(from)) {
      return !TEST_DOORS.includes(to) && TESTED_TOGETHER[from]?.layer !== target
    }
    return DOORS[from]?.every((door) => door.to !== to) ?? true
  })
  assert.deepEqual(wrong, [])
})

test('the page takes types from the server and no code', () => {
  const wrong = sources
    .filter((path) => layerOf(path) === 'web' && !isForTests(path) && DOORS[path] === undefined)
    .flatMap(importsOf)
    .filter(({ to, isType }) => layerOf(to) !== 'web' && !isType)
  assert.deepEqual(wrong, [])
})

test('every file is reached from a program, without the help of tests', () => {
  const reached = new Set([...PROGRAMS, ...Object.keys(COMING)])
  for (const path of reached) for (const { to } of importsOf(path)) reached.add(to)
  const dead = sources.filter(
    (path) => !reached.has(path) && !isForTests(path) && !TEST_DOORS.includes(path),
  )
  assert.deepEqual(dead, [])
  const fromPrograms = new Set(PROGRAMS)
  for (const path of fromPrograms) for (const { to } of importsOf(path)) fromPrograms.add(to)
  const came = Object.keys(COMING).filter((path) => fromPrograms.has(path))
  assert.deepEqual(came, [], 'no longer coming')
})

test(`a file has at most ${LINES_MAX} lines, a comment at most ${COLUMNS_MAX} columns`, () => {
  const long = code.filter((path) => readText(path).split('\n').length - 1 > LINES_MAX)
  assert.deepEqual(long, [])
  // Code is the formatter's; what it leaves long is a text that cannot be broken.
  const wide = code.flatMap((path) =>
    readText(path)
      .split('\n')
      .flatMap((line, at) =>
        line.length > COLUMNS_MAX && /^\s*(\*|\/[/*])/.test(line) ? [`${path}:${at + 1}`] : [],
      ),
  )
  assert.deepEqual(wide, [])
})

test('names are kebab-case', () => {
  const odd = code.filter(
    (path) => !/^(?:[a-z0-9-]+\/)*[a-z0-9-]+(\.(test|conformance|crash\.test))?\.ts$/.test(path),
  )
  assert.deepEqual(odd, [])
})

/** Said otherwise here, by the glossary; or promises of work instead of work. */
const WORDS: [RegExp, string][] = [
  [/\b(TODO|FIXME|X{3}|HACK)\b/, 'finish it, or open an issue'],
  [/\b(data ?points?|samples of a series)\b/i, 'reading'],
  [/\b(cut-?off|grace period)\b/i, 'allowed lateness'],
  [/\bshards?\b/i, 'partition'],
  [/\bdevice shadows?\b/i, 'twin'],
  [/\bnew Date\(\)/, 'a Clock of src/world'],
]

test('one word per thing, and no notes to ourselves', () => {
  const texts = [...code.filter((path) => path !== 'test/tidy.test.ts'), ...pages]
  const found = texts.flatMap((path) => {
    const text = readText(path)
    return WORDS.flatMap(([pattern, instead]) => {
      const hit = pattern.exec(text)
      return hit === null ? [] : [`${path}: "${hit[0]}"; say: ${instead}`]
    })
  })
  assert.deepEqual(found, [])
})

test('the generated pages say what the code says', () => {
  for (const renderer of ['src/cli/generate-docs.ts', 'bench/render.ts']) {
    const program = ['--disable-warning=ExperimentalWarning', renderer, '--check']
    const { status, stderr } = spawnSync(process.execPath, program, { cwd: ROOT, encoding: 'utf8' })
    assert.equal(status, 0, stderr)
  }
})

test('every setting is read by the part that it sets', () => {
  const product = sources.filter((path) => !isForTests(path) && layerOf(path) !== 'config')
  const texts = product.map(readText).join('\n')
  const idle = SETTINGS.filter(({ keys, schema }) => {
    const name = valueKey(keys.at(-1) ?? '', schema)
    return !new RegExp(`\\b${name}\\b`).test(texts)
  })
  assert.deepEqual(
    idle.map(({ path }) => path),
    [],
  )
})

/** GitHub's way from a heading to its anchor. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')

test('links between pages lead somewhere, and every page is linked', () => {
  const linked = new Set(['README.md'])
  const broken = pages.flatMap((page) =>
    [...readText(page).matchAll(/\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)/g)].flatMap(
      ([link, path = '', anchor]) => {
        const target = path === '' ? page : join(dirname(page), path).replace(/\/$/, '')
        linked.add(target)
        if (!exists(target)) return [`${page}: ${link}`]
        if (anchor === undefined) return []
        const headings = [...readText(target).matchAll(/^#+ (.*)$/gm)].map(([, text = '']) => text)
        return headings.map(anchorOf).includes(anchor) ? [] : [`${page}: ${link}`]
      },
    ),
  )
  assert.deepEqual(broken, [])
  assert.deepEqual(
    pages.filter((page) => !linked.has(page)),
    [],
    'pages that no page links to',
  )
})

test('files that the pages name exist', () => {
  const missing = pages.flatMap((page) =>
    [...readText(page).matchAll(/`((?:src|test|docs|bench|deploy|\.ci)\/[\w./-]*)`/g)]
      .map(([, path = '']) => path)
      .filter((path) => !exists(path))
      .map((path) => `${page}: ${path}`),
  )
  assert.deepEqual(missing, [])
})

test('tests that docs/guarantees.md names exist', () => {
  const rows = [
    ...readText('docs/guarantees.md').matchAll(/`([\w./-]+\.ts)`: ((?:“[^”]+”[, ]*)+)/g),
  ]
  assert.ok(rows.length > 10)
  const missing = rows.flatMap(([, path = '', names = '']) =>
    [...names.matchAll(/“([^”]+)”/g)]
      .map(([, name = '']) => name)
      .filter((name) => !exists(path) || !readText(path).includes(name))
      .map((name) => `${path}: ${name}`),
  )
  assert.deepEqual(missing, [])
})

test('tests that docs/security.md names exist, in a file that their section names', () => {
  const sections = readText('docs/security.md').split(/^## /m)
  const named = sections.flatMap((section) => {
    const paths = [...section.matchAll(/`([\w./-]+\.ts)`/g)].map(([, path = '']) => path)
    const texts = paths.filter((path) => path.startsWith('test/') || isForTests(path)).map(readText)
    return [...section.matchAll(/“([^”]+)”/g)].map(([, name = '']) => ({ name, texts }))
  })
  assert.ok(named.length > 50)
  const missing = named.filter(({ name, texts }) => !texts.some((text) => text.includes(name)))
  assert.deepEqual(
    missing.map(({ name }) => name),
    [],
  )
})

/** `npm run -s weir -- simulate --devices 9` → ['simulate', '--devices']. */
function commandOf(line: string): string[] {
  return (/weir -- (.*)$/.exec(line)?.[1] ?? '')
    .split(/\s+/)
    .filter((word, at) => at === 0 || word.startsWith('--'))
}

test('commands that the pages show exist, with the flags they show', () => {
  const { scripts } = JSON.parse(readText('package.json')) as { scripts: Record<string, string> }
  const texts = pages.map(readText).join('\n').replaceAll('\\\n', ' ')
  const names = [...texts.matchAll(/npm run (?:-s )?([\w:]+)/g)].map(([, name = '']) => name)
  assert.deepEqual(
    names.filter((name) => scripts[name] === undefined),
    [],
  )
  const shown = [...texts.matchAll(/npm run -s weir -- [^`|#\n]*/g)].map(([line]) =>
    commandOf(line),
  )
  const help = new Map<string, string>()
  for (const [command = '', ...flags] of shown) {
    if (!/^[a-z]/.test(command)) continue
    let text = help.get(command)
    if (text === undefined) {
      const program = [
        '--disable-warning=ExperimentalWarning',
        'src/cli/weir.ts',
        command,
        '--help',
      ]
      text = spawnSync(process.execPath, program, { cwd: ROOT, encoding: 'utf8' }).stdout
      help.set(command, text)
      assert.match(text, new RegExp(`^Usage: weir ${command}\\b`), command)
    }
    for (const flag of flags) assert.ok(text.includes(flag), `weir ${command} has no ${flag}`)
  }
})

test('what is installed comes from wherever the reader gets packages', () => {
  assert.ok(!readText('package-lock.json').includes('"resolved"'))
})
