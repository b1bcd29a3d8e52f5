/**
 * The few DOM helpers of the page. Text from devices reaches the document as text nodes and
 * attributes only, never as markup: a device may be named `<img onerror=…>` and stays inert.
 */
type Attributes = Record<string, string | undefined>

/** The element of `index.html` with this id. Throws when page and code disagree. */
export function byId<T extends Element = HTMLElement>(
  id: string,
  kind: abstract new () => T = HTMLElement as unknown as abstract new () => T,
): T {
  const found = document.getElementById(id)
  if (!(found instanceof kind)) throw new TypeError(`index.html has no ${kind.name} #${id}`)
  return found
}

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag)
  setAttributes(made, attributes)
  made.append(...children)
  return made
}

/** Sets each attribute, or removes it where the value is undefined. */
export function setAttributes(target: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined) target.removeAttribute(name)
    else target.setAttribute(name, value)
  }
}

/** Writes only what differs: a text node that is rewritten is laid out and announced again. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text
}

export function button(label: string, onClick: () => void, className = ''): HTMLButtonElement {
  const made = element('button', { type: 'button', class: className || undefined }, label)
  made.addEventListener('click', onClick)
  return made
}

/** Lines to paste into a terminal, with a button that copies them where the browser allows it. */
export function commandBlock(lines: string): HTMLElement {
  const block = element('div', { class: 'command' }, element('pre', { tabindex: '0' }, lines))
  // The clipboard exists in secure contexts only: loopback and https.
  if (navigator.clipboard !== undefined) {
    const copy = button('Copy', () => {
      void navigator.clipboard.writeText(lines).then(() => setText(copy, 'Copied'))
    })
    block.append(copy)
  }
  return block
}

/** Several calls within one frame run `work` once, before the next paint. */
export function oncePerFrame(work: () => void): () => void {
  let isPlanned = false
  return () => {
    if (isPlanned) return
    isPlanned = true
    requestAnimationFrame(() => {
      isPlanned = false
      work()
    })
  }
}
