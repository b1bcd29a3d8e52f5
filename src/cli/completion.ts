/** `weir completion`: a script for the shell, written from the commands themselves. */
import { Argument, type Command } from 'commander'

const EXAMPLES = `
Examples:
  weir completion bash >> ~/.bashrc
  weir completion zsh > "\${fpath[1]}/_weir"
  weir completion fish > ~/.config/fish/completions/weir.fish`

export function addCompletion(program: Command): void {
  program
    .command('completion')
    .description('print a completion script')
    .addArgument(new Argument('<shell>').choices(['bash', 'zsh', 'fish']))
    .addHelpText('after', EXAMPLES)
    .action((shell: keyof typeof SCRIPTS) => console.log(SCRIPTS[shell](entriesOf(program))))
}

/** What may follow a command: `path` is '' for the program, 'config' or 'config check' below it. */
interface Entry {
  path: string
  words: { word: string; description: string; isFlag: boolean }[]
}

function entriesOf(command: Command, path = ''): Entry[] {
  const children = command.commands.map((child) => ({
    word: child.name(),
    description: child.description(),
    isFlag: false,
  }))
  const flags = command.options.map(({ long, description }) => ({
    word: long ?? '',
    description,
    isFlag: true,
  }))
  const own = { path, words: [...children, ...flags.filter(({ word }) => word !== '')] }
  const below = command.commands.map((child) => entriesOf(child, `${path} ${child.name()}`.trim()))
  return [own, ...below.flat()]
}

/** Single quotes in a shell: end, escape, begin again. */
const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

/** The command so far: words before the cursor that are neither flags nor unknown. */
const SHELL_PATH = `  local path="" word
  for word in "\${words[@]:1:$((cword - 1))}"; do
    case " $paths " in *" \${path:+$path/}$word "*) path="\${path:+$path/}$word" ;; esac
  done`

function bash(entries: Entry[]): string {
  const cases = entries.map(
    ({ path, words }) =>
      `    ${quote(path.replaceAll(' ', '/'))}) list=${quote(words.map(({ word }) => word).join(' '))} ;;`,
  )
  return `_weir() {
  local words=("\${COMP_WORDS[@]}") cword=$COMP_CWORD list=""
  local paths=${quote(pathsOf(entries))}
${SHELL_PATH}
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$list" -- "\${COMP_WORDS[COMP_CWORD]}"))
  [ \${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _weir weir`
}

const pathsOf = (entries: Entry[]): string =>
  entries
    .map(({ path }) => path.replaceAll(' ', '/'))
    .filter((path) => path !== '')
    .join(' ')

function zsh(entries: Entry[]): string {
  const describe = (text: string): string => text.replaceAll(':', '\\:')
  const cases = entries.map(({ path, words }) => {
    const items = words.map(({ word, description }) => quote(`${word}:${describe(description)}`))
    return `    ${quote(path.replaceAll(' ', '/'))}) list=(${items.join(' ')}) ;;`
  })
  return `#compdef weir
_weir() {
  local -a list
  local path_so_far="" item
  local paths=${quote(pathsOf(entries))}
  for item in "\${words[@]:1:$((CURRENT - 2))}"; do
    case " $paths " in *" \${path_so_far:+$path_so_far/}$item "*)
      path_so_far="\${path_so_far:+$path_so_far/}$item" ;;
    esac
  done
  case "$path_so_far" in
${cases.join('\n')}
  esac
  _describe 'weir' list || _files
}
compdef _weir weir`
}

function fish(entries: Entry[]): string {
  const lines = entries.flatMap(({ path, words }) => {
    const seen = path.split(' ').filter((word) => word !== '')
    const names = words.filter(({ isFlag }) => !isFlag).map(({ word }) => word)
    const here = seen.map((word) => `__fish_seen_subcommand_from ${word}`)
    if (seen.length === 0) here.push('__fish_use_subcommand')
    const notBelow = names.length > 0 && seen.length > 0
    if (notBelow) here.push(`not __fish_seen_subcommand_from ${names.join(' ')}`)
    return words.map(({ word, description, isFlag }) => {
      const option = isFlag ? `-l ${word.replace(/^--/, '')}` : `-a ${word}`
      return `complete -c weir -n ${quote(here.join('; and '))} ${option} -d ${quote(description)}`
    })
  })
  return lines.join('\n')
}

const SCRIPTS = { bash, zsh, fish }
