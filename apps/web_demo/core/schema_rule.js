// What a rule of JSON Schema (draft 2020-12) says of a value, for the keywords that apps/write_schema.py lets through.
const EXACT = 2 ** 53; // whole numbers up to here are exact in every language that reads a manifest
const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);
const TYPES = {
  null: (value) => value === null,
  boolean: (value) => typeof value === 'boolean',
  string: (value) => typeof value === 'string',
  array: Array.isArray,
  object: isObject,
  number: Number.isFinite,
  integer: (value) => Number.isInteger(value) && Math.abs(value) <= EXACT,
};
const NUMBERS = {
  minimum: (value, limit) => value >= limit,
  maximum: (value, limit) => value <= limit,
  exclusiveMinimum: (value, limit) => value > limit,
  exclusiveMaximum: (value, limit) => value < limit,
};
const equal = (a, b) => a === b || (Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((one, i) => equal(one, b[i])));
const within = (count, least = 0, most = Infinity) => count >= least && count <= most;

/** The place of the first part of `value` that does not fit `rule`, such as labels/0/code; null if all fits. */
export function misfit(value, rule, defs = rule.defs, place = []) {
  if (rule.ref !== undefined) return misfit(value, defs[rule.ref], defs, place);
  if (!fits(value, rule)) return place.join('/') || 'the whole file';
  const missing = isObject(value) ? (rule.required ?? []).find((key) => !Object.hasOwn(value, key)) : undefined;
  if (missing !== undefined) return [...place, missing].join('/');
  for (const [key, part, inner] of partsOf(value, rule)) {
    const wrong = inner === false ? [...place, key].join('/') : misfit(part, inner, defs, [...place, key]);
    if (wrong !== null) return wrong;
  }
  return null;
}

/** Whether the value itself is right, whatever its parts are. */
function fits(value, rule) {
  if (rule.type !== undefined && ![rule.type].flat().some((name) => TYPES[name](value))) return false;
  if (rule.const !== undefined && !equal(value, rule.const)) return false;
  if (rule.enum !== undefined && !rule.enum.includes(value)) return false;
  if (typeof value === 'string') {
    if (rule.pattern !== undefined && !new RegExp(`^(?:${rule.pattern})$`, 'u').test(value)) return false;
    return within([...value].length, 0, rule.maxLength); // code points
  }
  if (typeof value === 'number') return Object.entries(NUMBERS).every(([key, good]) => rule[key] === undefined || good(value, rule[key]));
  if (Array.isArray(value)) return within(value.length, rule.minItems, rule.maxItems);
  return !isObject(value) || within(Object.keys(value).length, rule.minProperties, rule.maxProperties);
}

/** Key, part and rule of each part of a list or an object; the rule `false` where nobody knows the key. */
function partsOf(value, {items, properties = {}, additionalProperties: others}) {
  if (Array.isArray(value)) return items === undefined ? [] : value.map((part, i) => [i, part, items]);
  if (!isObject(value)) return [];
  const ruleOf = (key) => (Object.hasOwn(properties, key) ? properties[key] : others);
  return Object.entries(value).map(([key, part]) => [key, part, ruleOf(key)]).filter(([, , rule]) => rule !== undefined);
}
