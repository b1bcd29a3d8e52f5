/** A notification as the HTML of an email: one table, no styles that mail programs drop. */
import { explain } from './explanation.ts'
import type { Notification } from './notify.ts'

const ESCAPES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** For text and for attributes in double quotes, of HTML and XML. */
export const escapeHtml = (text: string): string =>
  text.replaceAll(/[&<>"']/g, (character) => ESCAPES[character]!)

/** `chartSource`: where the image of the chart is, `cid:…` in an email. */
export function explainHtml(notification: Notification, chartSource?: string): string {
  const { title, facts } = explain(notification)
  const rows = facts.map(({ name, text }) => {
    const shown = name === 'Link' ? linkHtml(text) : escapeHtml(text)
    return `<tr><th align="left" valign="top">${escapeHtml(name)}</th><td>${shown}</td></tr>`
  })
  const chart =
    chartSource === undefined
      ? ''
      : `<p><img src="${escapeHtml(chartSource)}" alt="The readings around it" width="480"></p>`
  return [
    '<!doctype html><html><head><meta charset="utf-8"></head>',
    '<body style="font-family: sans-serif">',
    `<h2>${escapeHtml(title)}</h2>`,
    `<table cellpadding="4">${rows.join('')}</table>`,
    `${chart}</body></html>`,
  ].join('\n')
}

/** Only what a browser opens as a page: never `javascript:`. */
function linkHtml(link: string): string {
  const { protocol } = URL.parse(link) ?? {}
  const shown = escapeHtml(link)
  return protocol === 'https:' || protocol === 'http:' ? `<a href="${shown}">${shown}</a>` : shown
}
