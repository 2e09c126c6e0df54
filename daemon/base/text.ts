/** At most `max` UTF-16 units, never half a surrogate pair, with a mark where something was cut. */
export function cutText(text: string, max: number): string {
  if (text.length <= max) return text.toWellFormed();
  return `${text.slice(0, max - 1).toWellFormed()}…`;
}
