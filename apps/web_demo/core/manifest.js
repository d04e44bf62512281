// docs/bundle.md: the manifest of a bundle, read as something that may be of another version, damaged or made up.
import {VERSION as GATE} from './decision.js';
import {VERSION as PREPROCESS} from './preprocess.js';
import {Refused, whole} from './refused.js';

export const SCHEMA = 'dermedge/manifest/3';
export const FORMAT = 'tflite';
// The release of TFLite whose files LiteRT.js 2.x opens at least, as edge/bundles/app_runtimes.py says; a test compares.
export const OPENS_UP_TO = [2, 20];
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const PLACES = {yes_no: () => 2, choice: ({choices}) => choices.length, number: ({knots}) => 1 + knots.length};

function lacks(part) {
  return new Refused(`the model's manifest lacks or misspells ${part}; run dermedge bundle again`);
}

function checkQuestion(question) {
  const {id, text, kind, choices, knots, offset, length} = question;
  const known = typeof id === 'string' && Object.hasOwn(PLACES, kind) && Array.isArray(choices) && Array.isArray(knots);
  if (!known || typeof text !== 'object' || length !== PLACES[kind](question) || !Number.isInteger(offset)) {
    throw lacks(`the question ${String(id)}`);
  }
  if (kind === 'number' && (knots.length < 2 || knots.some((knot, i) => i > 0 && !(knot > knots[i - 1])))) {
    throw lacks(`the knots of the question ${id}`);
  }
}

/** The manifest of its text; Refused with a sentence for the person at the screen. */
export function readManifest(text) {
  let manifest;
  try {
    manifest = JSON.parse(text);
  } catch {
    throw new Refused("the model's manifest cannot be read; run dermedge bundle again");
  }
  if (manifest?.schema !== SCHEMA) {
    throw new Refused(`this page reads ${SCHEMA}, the model's manifest is ${manifest?.schema}; bundle it again`);
  }
  if (manifest.preprocess?.version !== PREPROCESS) {
    throw new Refused(`this page prepares pictures by ${PREPROCESS}, the model wants ${manifest.preprocess?.version}`);
  }
  for (const part of ['labels', 'questions', 'files', 'self_test']) {
    if (!Array.isArray(manifest[part])) throw lacks(part);
  }
  const {labels, input, questions, files, self_test: tests, decision, log_odds: rows, mask} = manifest;
  const side = whole(input?.side, 16, 1024, "the side of the model's input");
  const named = labels.every((label) => typeof label?.code === 'string' && typeof label.name === 'string');
  if (!named || labels.length < 2 || new Set(labels.map(({code}) => code)).size !== labels.length) throw lacks('labels');
  questions.forEach(checkQuestion);
  const places = questions.reduce((sum, {length}) => sum + length, 0);
  if (questions.some(({offset, length}) => offset < 0 || offset + length > places)) throw lacks('questions');
  const fits = Array.isArray(rows) && rows.length === labels.length && rows.every((row) => row?.length === places);
  if (rows !== undefined && !fits) throw lacks('log_odds');
  for (const name of [...files.map((entry) => entry?.file), ...tests.map((test) => test?.image)]) {
    if (!NAME.test(name)) throw new Refused(`the manifest names a file ${String(name).slice(0, 60)}, which is no plain name`);
  }
  if (mask !== undefined && !(mask?.threshold > 0 && mask.threshold < 1)) throw lacks('mask');
  if (decision !== undefined && (decision?.version !== GATE || decision.side !== side)) {
    throw new Refused(`the thresholds are of ${decision?.version} for ${decision?.side} pixels; this page knows ${GATE} for ${side}`);
  }
  return manifest;
}

/** The entry of the bundle's file; Refused where there is none, or where it needs a newer runtime than the page's. */
export function fileOf(manifest, runtime) {
  const entry = manifest.files.find(({format}) => format === FORMAT);
  if (!entry) throw new Refused(`the bundle holds no .${FORMAT} file, which this page runs; run dermedge bundle --app web`);
  const [, major, minor] = /^LiteRT \/ TFLite (\d+)\.(\d+)/.exec(entry.opens_from) ?? [];
  if (major === undefined) throw new Refused(`${entry.file} opens from ${entry.opens_from}, which this page does not know`);
  const [most, least] = OPENS_UP_TO;
  if (Number(major) > most || (Number(major) === most && Number(minor) > least)) {
    throw new Refused(`${entry.file} opens from ${entry.opens_from} on, and ${runtime} is older; take another file of the model`);
  }
  return entry;
}
