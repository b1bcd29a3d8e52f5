/** Reference pages that are rendered from the code, so that they cannot disagree with it. */
import { ERRORS } from '../errors/errors.ts'
import { SETTINGS, type SettingPlace } from './config.ts'
import { setting } from './settings.ts'
import { expectation } from './shape.ts'
import { SECTIONS } from './stages.ts'

const GENERATED = '<!-- Rendered by `npm run docs`; edit the code instead. -->'

/** A cell of a Markdown table. */
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]): string => `| ${cells.map(cell).join(' | ')} |`
  return [line(head), `|${' --- |'.repeat(head.length)}`, ...rows.map(line)].join('\n')
}

function formatDefault(value: unknown): string {
  if (value === '') return ''
  return `\`${Array.isArray(value) ? `[${value.join(', ')}]` : String(value)}\``
}

/** docs/config.md, from the schemas of all stages. */
export function renderConfigDocs(): string {
  const row = ({ keys, schema, variable }: SettingPlace): string[] => {
    const words = setting(schema)
    const secret = words.kind === 'texts' ? 'a list of secrets' : 'a secret'
    const value = words.isSecret === true ? secret : expectation(schema)
    return [
      `\`${keys.at(-1)}\``,
      formatDefault(words.default),
      value,
      words.description,
      `\`${variable}\``,
    ]
  }
  const sections = [undefined, ...Object.keys(SECTIONS)].map((name) => {
    const places = SETTINGS.filter(({ keys }) => (keys.length > 1 ? keys[0] : undefined) === name)
    const rows = table(['key', 'default', 'value', 'what', 'variable'], places.map(row))
    if (name === undefined) return rows
    const { description } = setting(SECTIONS[name as keyof typeof SECTIONS])
    return `## ${name}\n\n${description}\n\n${rows}`
  })
  return `# Configuration

${GENERATED}

A YAML file (\`--config FILE\`) with the keys below, nested by stage. A flag
(\`--http-port 0\`) beats an environment variable (\`WEIR_HTTP_PORT=0\`) beats the file beats the
default. Durations are written \`500ms\`, \`10s\`, \`5m\`, \`1h\`, \`8d\`; sizes \`64 KiB\`,
\`8 MiB\`, \`1 GiB\` or a plain count of bytes; lists in variables are separated by commas. An
unknown key refuses to start. \`weir config print\` shows what is in effect, \`weir config check\`
what is wrong.

\`\`\`yaml
data: /var/lib/weir
http: { host: 0.0.0.0, hosts: [weir.example.org] }
log: { segmentBytes: 128 MiB }
\`\`\`

${sections.join('\n\n')}
`
}

/** docs/errors.md, from the catalogue. */
export function renderErrorDocs(): string {
  const hex = (code: number): string => `0x${code.toString(16).padStart(2, '0')}`
  const rows = Object.entries(ERRORS).map(
    ([code, { title, http, mqtt, exit, retryable, hint }]) => [
      `\`${code}\``,
      title,
      String(http),
      hex(mqtt),
      String(exit),
      retryable ? 'yes' : 'no',
      hint,
    ],
  )
  const head = ['code', 'what happened', 'HTTP', 'MQTT 5', 'exit', 'retry', 'what to do']
  return `# Errors

${GENERATED}

Codes are permanent. HTTP answers carry them in an RFC 9457 body,
\`{"type","title","status","detail","code","hint"}\`, where \`detail\` says what exactly was wrong;
MQTT 5 gives the reason code; commands exit with the exit code. *Retry* says whether sending the
same bytes again can help.

${table(head, rows)}
`
}
