/** A value of a line with commas between (RFC 4180 section 2): in quotes where it has a comma, a quote or a line end itself. */
export function csvValue(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
