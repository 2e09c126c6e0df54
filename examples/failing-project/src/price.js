/** Gives the price in cents after a discount in percent. */
export function discounted(cents, percent) {
  // The mistake: the discount is taken off twice as soon as it is above 50 %.
  const off = percent > 50 ? 2 * percent : percent;
  return Math.round((cents * (100 - off)) / 100);
}
