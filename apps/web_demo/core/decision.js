// docs/decision.md (gate-2): class, uncertain, or another photograph.
import {differ, Refused, whole, within} from './refused.js';

export const VERSION = 'gate-2';
// The checks in the order of their reasons; which side of the limit sends a picture back; the largest limit.
const CHECKS = [
  ['light', 'less', 255], ['clipped', 'more', 1000], ['contrast', 'less', 255], ['fine', 'less', 9999],
  ['coarse', 'less', 9999], ['busy', 'more', 9999], ['warm', 'less', 1000], ['green', 'more', 1000], ['spot', 'less', 255],
];
const LEAST_SIDE = 5;
const MOST_SIDE = 4096;
const MOST_CELLS = 16;
const SLACK = 0.02; // fp16 arithmetic keeps three digits

/** The nine whole numbers of a model's input, Uint8Array of side x side x 3. */
export function measure(square, side) {
  whole(side, LEAST_SIDE, MOST_SIDE, 'the side of the square');
  if (square.length !== side * side * 3) throw new Refused(`a square of ${side} pixels has ${side * side * 3} bytes`);
  const count = side * side;
  const luma = new Uint8Array(count);
  const histogram = new Array(256).fill(0);
  let warm = 0;
  let green = 0;
  for (let i = 0; i < count; i += 1) {
    const [r, g, b] = [square[3 * i], square[3 * i + 1], square[3 * i + 2]];
    luma[i] = (77 * r + 150 * g + 29 * b + 128) >> 8;
    histogram[luma[i]] += 1;
    if (r > 0 && r >= g && r >= b && 16 * (r - Math.min(g, b)) >= r) warm += 1;
    if (g > r + 8 && g > b + 8) green += 1;
  }
  const level = (percent) => {
    let left = Math.floor(((count - 1) * percent) / 100);
    return histogram.findIndex((pixels) => (left -= pixels) < 0);
  };
  const share = (pixels) => Math.floor((1000 * pixels) / count);
  const differences = (step, columns) => {
    let sum = 0;
    for (let r = 0; r < side - (columns ? 0 : step); r += 1) {
      for (let q = 0; q < side - (columns ? step : 0); q += 1) {
        sum += (luma[(r + (columns ? 0 : step)) * side + q + (columns ? step : 0)] - luma[r * side + q]) ** 2;
      }
    }
    return sum;
  };
  const across = {1: differences(1, true), 2: differences(2, true), 4: differences(4, true)};
  const down = {1: differences(1, false), 2: differences(2, false), 4: differences(4, false)};
  const ratio = (near, far) => Math.min(9999, Math.floor((1000 * near) / Math.max(far, 1)));
  return {
    light: level(90),
    clipped: share(histogram.slice(250).reduce((sum, pixels) => sum + pixels, 0)),
    contrast: level(95) - level(5),
    fine: Math.min(ratio(across[1], across[2]), ratio(down[1], down[2])),
    coarse: Math.min(ratio(across[1], across[4]), ratio(down[1], down[4])),
    busy: ratio(across[1] + down[1], across[2] + down[2]),
    warm: share(warm),
    green: share(green),
    spot: spot(luma, side),
  };
}

/** How far the mean of a cell in the middle lies from what is usual along the border. */
function spot(luma, side) {
  const cells = Math.min(MOST_CELLS, side);
  const start = (i) => Math.floor((i * side) / cells);
  const means = [];
  for (let i = 0; i < cells; i += 1) {
    for (let j = 0; j < cells; j += 1) {
      let sum = 0;
      for (let r = start(i); r < start(i + 1); r += 1) {
        for (let q = start(j); q < start(j + 1); q += 1) sum += luma[r * side + q];
      }
      means.push(Math.floor(sum / ((start(i + 1) - start(i)) * (start(j + 1) - start(j)))));
    }
  }
  const outside = (i, j) => i === 0 || j === 0 || i === cells - 1 || j === cells - 1;
  const place = (number) => [Math.floor(number / cells), number % cells];
  const border = means.filter((_, number) => outside(...place(number))).sort((a, b) => a - b);
  const usual = border[border.length / 2 - 1];
  const quarter = Math.floor(cells / 4);
  const middle = (i) => i >= quarter && i < cells - quarter;
  return Math.max(...means.filter((_, n) => place(n).every(middle)).map((mean) => Math.abs(mean - usual)));
}

/** Throws Refused unless these are the nine limits, each in its range. */
function checkLimits(quality) {
  const limits = quality ?? {};
  for (const [name, , most] of CHECKS) {
    if (!Object.hasOwn(limits, name)) throw new Refused(`the thresholds have no limit for ${name}`);
    whole(limits[name], 0, most, `the limit for ${name}`);
  }
  const unknown = Object.keys(limits).find((name) => !CHECKS.some(([known]) => known === name));
  if (unknown !== undefined) throw new Refused(`the thresholds have a limit for ${unknown}, which nobody knows`);
}

/** Throws Refused for thresholds of `decision`, or of an entry of its by_answers, that are out of their ranges. */
function checkThresholds({abstain_threshold: abstain, malignant_threshold: malignant = 0}) {
  if (!within(abstain, 0, 1)) throw new Refused('abstain_threshold is a number from 0 to 1');
  if (!within(malignant, 0, 1)) throw new Refused('malignant_threshold is a number from 0 to 1');
}

/** Throws Refused unless the thresholds of a manifest's `decision`, or those in force, hold for squares of `side` pixels. */
function checkInForce(decision, side) {
  if (decision?.version !== VERSION) {
    throw new Refused(`the thresholds are of ${decision?.version}; this page knows ${VERSION}`);
  }
  if (decision.side !== side) throw new Refused(`the limits hold for a side of ${decision.side}, not of ${side}`);
  checkLimits(decision.quality);
  checkThresholds(decision);
}

/** Throws Refused unless a `decision` that fits the schema holds for squares of `side` pixels and so many questions. */
export function checkDecision(decision, side, questions) {
  checkInForce(decision, side);
  const {by_answers: entries = []} = decision;
  if (!differ(entries.map(({answered}) => answered))) throw new Refused('by_answers has two entries for one case');
  let last = 0;
  for (const entry of entries) {
    last = whole(entry.from, last + 1, questions, 'from of by_answers, which ascends,');
    if (Object.hasOwn(entry, 'malignant_threshold') !== Object.hasOwn(decision, 'malignant_threshold')) {
      throw new Refused('by_answers and the whole do not all have a malignant_threshold, or all none');
    }
  }
}

/** Throws Refused unless a model's answer is so many probabilities. */
export function checkProbabilities(probabilities, classes) {
  if (probabilities.length !== classes) throw new Refused(`${probabilities.length} probabilities for ${classes} classes`);
  const sum = probabilities.reduce((total, p) => total + p, 0);
  const inside = probabilities.every((p) => within(p, -SLACK, 1 + SLACK));
  if (!inside || !(Math.abs(sum - 1) <= SLACK)) throw new Refused('what the model gave are no probabilities');
}

/** Throws Refused for what is an error in the app rather than an outcome. */
export function check(side, decision, probabilities, codes) {
  checkInForce(decision, side); // by_answers was checked when the manifest was read
  if (codes.length < 2 || new Set(codes).size !== codes.length) throw new Refused('there are two classes at least');
  checkProbabilities(probabilities, codes.length);
}

/** The names of the checks that send a picture back, in the order of their reasons. */
export function failedChecks(measured, limits) {
  return CHECKS.filter(([name, side]) =>
    side === 'less' ? measured[name] < limits[name] : measured[name] > limits[name]).map(([name]) => name);
}

/**
 * {outcome: 'retake', 'uncertain' or 'class', code, failed}: `measured` of the square, a manifest's `decision` with the
 * thresholds in force, the probabilities to be shown and the codes of the classes. Call `check` first.
 */
export function decide(measured, decision, probabilities, codes) {
  const failed = failedChecks(measured, decision.quality);
  if (failed.length) return {outcome: 'retake', code: null, failed};
  const largest = Math.max(...probabilities);
  if (largest < decision.abstain_threshold) return {outcome: 'uncertain', code: null, failed: []};
  return {outcome: 'class', code: codes[probabilities.indexOf(largest)], failed: []};
}
