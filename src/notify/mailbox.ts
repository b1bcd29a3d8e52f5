/** One mailbox and nothing around it: no list, no name, no folding. */
const MAILBOX = /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}$/

/** Whether a text can be where an email comes from or goes to. */
export const isMailbox = (text: string): boolean => MAILBOX.test(text)
