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

/** Refused unless all keys of `object` are among `known`: another one may mean what this page would not do. */
export function onlyKeys(object, known, part) {
  const unknown = Object.keys(object).find((key) => !known.includes(key));
  if (unknown !== undefined) throw new Refused(`${part} of the model's manifest has ${unknown.slice(0, 60)}, which is not known there`);
}

/** Whether this is a number from `low` to `high`; false for NaN. */
export const within = (value, low, high) => typeof value === 'number' && value >= low && value <= high;

/** Whether this is a list of finite numbers, of `length` where it is stated. */
export const numbers = (list, length = list?.length) =>
  Array.isArray(list) && list.length === length && list.every(Number.isFinite);
