// What the other modules throw for input that the contract refuses. The message is for the person who uses the app.
export class Refused extends Error {}

/** `value` if it is a whole number from `low` to `high`; otherwise Refused, which calls it `name`. */
export function whole(value, low, high, name) {
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new Refused(`${name} is a whole number from ${low} to ${high}, got ${String(value)}`);
  }
  return value;
}

/** Refused for a part of the manifest that is not as edge/manifest.schema.json has it. */
export const lacks = (part) => new Refused(`the model's manifest lacks or misspells ${part}; run dermedge bundle again`);

/** Whether this is a number from `low` to `high`; false for NaN. */
export const within = (value, low, high) => typeof value === 'number' && value >= low && value <= high;

/** Whether no value stands twice in a list. */
export const differ = (values) => new Set(values).size === values.length;
