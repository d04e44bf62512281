// docs/bundle.md: the manifest of a bundle, read as something that may be of another version, damaged or made up.
import {checkDecision} from './decision.js';
import {VERSION as PREPROCESS} from './preprocess.js';
import {checkQuestions} from './questions.js';
import {lacks, numbers, onlyKeys, Refused, whole, within} from './refused.js';

export const SCHEMA = 'dermedge/manifest/3';
export const FORMAT = 'tflite';
// The release of TFLite whose files LiteRT.js 2.x opens at least, as edge/bundles/app_runtimes.py says; a test compares.
export const OPENS_UP_TO = [2, 20];
const CODE = /^[\p{L}\p{N}_-]{1,64}$/u;
const SHA256 = /^[0-9a-f]{64}$/;
const DTYPES = ['float32', 'uint8'];
const MOST = 1.0001; // of a probability: half precision rounds up
const OUTPUT_KEYS = ['name', 'meaning', 'temperature', 'abstain_threshold'];
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

function checkLabels(labels) {
  const named = labels.every((label) => typeof label?.code === 'string' && CODE.test(label.code)
    && typeof label.name === 'string' && (label.malignant === null || typeof label.malignant === 'boolean'));
  if (!named || labels.length < 2 || new Set(labels.map(({code}) => code)).size !== labels.length) throw lacks('labels');
}

function checkName(name) {
  if (typeof name !== 'string' || !NAME.test(name)) {
    throw new Refused(`the manifest names a file ${String(name).slice(0, 60)}, which is no plain name`);
  }
}

function checkFile(entry, places) {
  checkName(entry?.file);
  const {file, sha256, answers, input, output, seen_right: seen} = entry;
  const {scale = 1, zero_point: zero = 0} = output ?? {};
  if (!isSha256(sha256) || typeof entry.opens_from !== 'string') throw lacks(`the hash or opens_from of ${file}`);
  if (!DTYPES.includes(input?.dtype)) throw lacks(`the input of ${file}`);
  if (typeof answers !== 'boolean' || (answers && !places)) throw lacks(`the answers of ${file}`);
  const inRange = Number.isFinite(scale) && scale > 0 && Number.isInteger(zero) && within(zero, 0, 255);
  if (!DTYPES.includes(output?.dtype) || !inRange) throw lacks(`the output of ${file}`);
  if (!Array.isArray(seen)) throw lacks(`seen_right of ${file}`);
}

const isSha256 = (text) => typeof text === 'string' && SHA256.test(text);
const probabilities = (list, classes) => numbers(list, classes) && list.every((p) => within(p, 0, MOST));

function checkSelfTest(test, classes, places) {
  checkName(test?.image);
  const {image, reference, expected, answers} = test;
  if (!isSha256(test.sha256) || !isSha256(test.rgb_sha256)) throw lacks(`the hashes of ${image}`);
  const said = expected !== null && typeof expected === 'object' ? Object.values(expected) : [null];
  if (![reference, ...said].every((list) => probabilities(list, classes))) throw lacks(`the probabilities of ${image}`);
  if (answers !== undefined && !numbers(answers, places)) throw lacks(`the answers of ${image}`);
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
  for (const part of ['labels', 'files', 'self_test']) {
    if (!Array.isArray(manifest[part])) throw lacks(part);
  }
  const {labels, questions, files, self_test: tests, decision, log_odds: rows, mask} = manifest;
  const side = whole(manifest.input?.side, 16, 1024, "the side of the model's input");
  checkLabels(labels);
  onlyKeys(manifest.output ?? {}, OUTPUT_KEYS, 'output');
  const places = checkQuestions(questions);
  const fits = Array.isArray(rows) && rows.length === labels.length && rows.every((row) => numbers(row, places));
  if (rows !== undefined && !fits) throw lacks('log_odds');
  for (const entry of files) checkFile(entry, places);
  for (const test of tests) checkSelfTest(test, labels.length, places);
  if (mask !== undefined && !(within(mask?.threshold, 0, 1) && mask.threshold % 1)) throw lacks('mask');
  if (decision !== undefined) checkDecision(decision, side, questions.length);
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
