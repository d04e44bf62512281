// docs/bundle.md: the manifest of a bundle, read as something that may be of another version, damaged or made up.
import {checkDecision} from './decision.js';
import {MANIFEST_SCHEMA} from './manifest_schema.js';
import {VERSION as PREPROCESS} from './preprocess.js';
import {checkQuestions} from './questions.js';
import {differ, lacks, Refused} from './refused.js';
import {misfit} from './schema_rule.js';

export const SCHEMA = MANIFEST_SCHEMA.properties.schema.const;
export const FORMAT = 'tflite';
// The release of TFLite whose files LiteRT.js 2.x opens at least, as edge/bundles/app_runtimes.py says; a test compares.
export const OPENS_UP_TO = [2, 20];
const MOST_LETTERS = 2 ** 26; // 64 MiB, as in edge/files.py
const NO_NAME = /[[\]\p{C}]|(?! )\p{Z}/u; // brackets, and what is not printed

/** The value of a JSON text; Refused where there is none, or where a name stands twice in an object. */
function valueOf(text) {
  if (text.length > MOST_LETTERS) throw new Refused("the model's manifest is too large; run dermedge bundle again");
  try {
    const value = JSON.parse(text);
    let names = 0;
    for (const [, isName] of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?/g)) names += isName ? 1 : 0;
    if (names === namesIn(value)) return value; // otherwise the parser dropped one in silence
  } catch {
    // no JSON, or nested so deeply that nobody wrote it
  }
  throw new Refused("the model's manifest cannot be read; run dermedge bundle again");
}

function namesIn(value) {
  if (value === null || typeof value !== 'object') return 0;
  const own = Array.isArray(value) ? 0 : Object.keys(value).length;
  return Object.values(value).reduce((sum, part) => sum + namesIn(part), own);
}

/** Throws Refused for a manifest that fits the schema and contradicts itself, as edge/manifest.py does. */
function checkConsistent({reference, labels, input: {side}, output, mask, questions, log_odds: rows, files, self_test: tests, decision}) {
  const places = checkQuestions(questions);
  if (!differ(labels.map(({code}) => code)) || labels.some(({name}) => NO_NAME.test(name))) throw lacks('labels');
  if (!differ(files.map(({file}) => file))) throw lacks('files, of which one is described twice');
  if ((reference.kind === 'program') !== (reference.file !== null)) throw lacks('the file of reference');
  if (mask !== undefined && mask.side !== side) throw lacks('the side of mask');
  for (const {file, answers} of files) if (answers && !places) throw lacks(`the answers of ${file}`);
  if (rows !== undefined && (rows.length !== labels.length || rows.some((row) => row.length !== places))) throw lacks('log_odds');
  for (const {image, reference: float, expected, answers} of tests) {
    const all = [float, ...Object.values(expected)];
    if (all.some((list) => list.length !== labels.length)) throw lacks(`the probabilities of ${image}`);
    if (answers !== undefined && answers.length !== places) throw lacks(`the answers of ${image}`);
  }
  if (decision === undefined) return;
  if (decision.abstain_threshold !== output.abstain_threshold) throw lacks('abstain_threshold, of which there are two');
  checkDecision(decision, side, questions.length);
}

/** The manifest of its text; Refused with a sentence for the person at the screen. */
export function readManifest(text) {
  const manifest = valueOf(text);
  if (manifest?.schema !== SCHEMA) {
    throw new Refused(`this page reads ${SCHEMA}, the model's manifest is ${manifest?.schema}; bundle it again`);
  }
  if (manifest.preprocess?.version !== PREPROCESS) {
    throw new Refused(`this page prepares pictures by ${PREPROCESS}, the model wants ${manifest.preprocess?.version}`);
  }
  const wrong = misfit(manifest, MANIFEST_SCHEMA);
  if (wrong !== null) throw lacks(wrong.slice(0, 200));
  checkConsistent(manifest);
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
