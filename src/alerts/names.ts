/** Ids that people choose: as those of rules, so that they stand in URLs as they are. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/

export const isName = (text: string): boolean => NAME.test(text)

export const NAME_EXPECTED =
  'expected 1 to 64 letters, digits, "_", "." or "-", beginning with a letter or digit'
