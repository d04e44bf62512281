// What the other modules throw for input that the contract refuses. The message is for the person who uses the app.
export class Refused extends Error {}

/** `value` if it is a whole number from `low` to `high`; otherwise Refused, which calls it `name`. */
export function whole(value, low, high, name) {
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new Refused(`${name} is a whole number from ${low} to ${high}, got ${String(value)}`);
  }
  return value;
}
