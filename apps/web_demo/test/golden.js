// The golden vectors of tests/golden through the code of core/, the same under node and in a browser.
import {checkAnswers, countsAsMalignant, encode, inForce, tempered} from '../core/answers.js';
import {planesOf, rgbOfBgra, rgbOfYuv, upright} from '../core/camera.js';
import {check, decide, measure} from '../core/decision.js';
import {readExif} from '../core/exif.js';
import {readManifest} from '../core/manifest.js';
import {modelInput} from '../core/preprocess.js';
import {Refused} from '../core/refused.js';

const bytesOf = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function noise(seed, count) {
  const data = new Uint8Array(count);
  for (let i = 0, x = seed; i < count; i += 1) {
    x = (Math.imul(1664525, x) + 1013904223) >>> 0;
    data[i] = x >>> 24;
  }
  return data;
}

function content({noise: seed, data, fill, bytes}, count = bytes) {
  if (data !== undefined) return bytesOf(data);
  return fill === undefined ? noise(seed, count) : new Uint8Array(count).fill(fill);
}

function frameOf(entry) {
  const {kind, width, height, layout, matrix} = entry;
  if (kind === 'rgb') return {width, height, data: content(entry, 3 * width * height)};
  if (kind === 'bgra') return rgbOfBgra({width, height, data: content(entry), rowStride: entry.row_stride});
  const planes = layout === 'planes'
    ? entry.planes.map((p) => ({data: content(p), rowStride: p.row_stride, pixelStride: p.pixel_stride}))
    : planesOf(layout, content(entry), width, height);
  return rgbOfYuv({width, height, planes, matrix, fullRange: entry.full_range});
}

async function* preprocessing({cases}) {
  for (const entry of cases) {
    const {crop, rotation, mirrored} = entry;
    const picture = upright(frameOf(entry), {crop, rotation, mirrored});
    const {width, height, sha256: wanted} = entry.upright;
    yield [`${entry.name}, upright`,
      picture.width === width && picture.height === height && (await sha256(picture.data)) === wanted];
    for (const {width: side, sha256: hash} of entry.inputs) {
      yield [`${entry.name}, ${side}`, (await sha256(modelInput(picture, side))) === hash];
    }
  }
}

function refuses(action) {
  try {
    action();
    return false;
  } catch (error) {
    if (error instanceof Refused) return true;
    throw error;
  }
}

function* decisions({pictures, outcomes, refused}) {
  for (const {name, side, rgb, noise: seed, measured} of pictures) {
    const square = rgb === undefined ? noise(seed, 3 * side * side) : bytesOf(rgb);
    yield [name, same(measure(square, side), measured)];
  }
  for (const {name, measured, limits, threshold, probabilities, labels, outcome, label, failed} of outcomes) {
    const decision = {version: 'gate-2', side: 128, quality: limits, abstain_threshold: threshold};
    check(128, decision, probabilities, labels);
    const answer = decide(measured, decision, probabilities, labels);
    yield [name, same(answer, {outcome, code: label ?? null, failed})];
  }
  for (const {name, accepted = false, side, decision, probabilities, labels} of refused) {
    const numbers = probabilities.map((p) => (p === null ? NaN : p)); // JSON has no NaN
    yield [name, refuses(() => check(side, decision, numbers, labels)) !== accepted];
  }
}

function* answering({questions, encoded, refused, thresholds}) {
  for (const {name, questions: list, answers, vector} of encoded) {
    const came = encode(questions[list], answers);
    yield [name, came.length === vector.length && vector.every((v, i) => Math.abs(v - came[i]) <= 1e-6)];
  }
  for (const {name, accepted = false, questions: list, answers} of refused) {
    yield [name, refuses(() => checkAnswers(questions[list], answers)) !== accepted];
  }
  for (const {name, decision, answered, probabilities, flags, tempered: wanted, sure, malignant} of thresholds) {
    const force = inForce(decision, answered);
    const shown = tempered(probabilities, force);
    yield [name, wanted.every((p, i) => Math.abs(p - shown[i]) <= 1e-9)
      && (Math.max(...shown) >= force.abstain_threshold) === sure
      && countsAsMalignant(shown, force, flags) === malignant];
  }
}

function* exif({cases}) {
  for (const {name, block, orientation, other_space: otherSpace} of cases) {
    const bytes = Uint8Array.from(block.match(/../g) ?? [], (digits) => parseInt(digits, 16));
    yield [name, same(readExif(bytes), {orientation, otherSpace})];
  }
}

/** A copy of a JSON value with something else at a place, or with nothing there. */
function withPart(whole, {at, value}) {
  if (!at.length) return value;
  const copy = structuredClone(whole);
  const last = at.at(-1);
  const place = at.slice(0, -1).reduce((part, key) => part[key], copy);
  if (value === undefined) delete place[last];
  else place[last] = value;
  return copy;
}

function* manifests({manifest, cases}) {
  for (const {name, accepted, changes = {}, part} of cases) {
    const changed = {...manifest, ...changes};
    for (const [key, value] of Object.entries(changes)) if (value === null) delete changed[key];
    const text = JSON.stringify(part ? withPart(changed, part) : changed);
    yield [name, refuses(() => readManifest(text)) !== accepted];
  }
}

const PARTS = {preprocess: preprocessing, decision: decisions, answers: answering, exif, manifests};

/**
 * {checked, failed}: how many vectors there were, and the names of those that came out otherwise. `read`: name -> JSON;
 * `parts`: names of those that are run.
 */
export async function runGolden(read, parts = Object.keys(PARTS)) {
  const result = {checked: {}, failed: []};
  for (const [name, cases] of parts.map((part) => [part, PARTS[part]])) {
    result.checked[name] = 0;
    for await (const [what, good] of cases(await read(name))) {
      result.checked[name] += 1;
      if (!good) result.failed.push(`${name}: ${what}`);
    }
  }
  return result;
}
