// The page: what is on the screen, and what happens when somebody touches it.
import {encode, inForce, tempered} from './core/answers.js';
import {check, checkProbabilities, decide, failedChecks, measure} from './core/decision.js';
import {modelInput} from './core/preprocess.js';
import {Refused} from './core/refused.js';
import {deviceReport} from './device_report.js';
import {Model} from './model.js';
import {frameOf, readPhoto} from './photo.js';
import {selfTest} from './self_test.js';
import {text, TEXTS, UNITS, words} from './texts.js';

const HINT_MS = 700; // between two looks at the camera
const byId = (id) => document.getElementById(id);
const said = () => byId('language').value;
const say = (name, places) => text(said(), name, places);
const decimal = (number, digits) => new Intl.NumberFormat(said(), {
  minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: false,
}).format(number);
const shownName = ({manifest: {labels}}, i) => labels[i].name || labels[i].code;

let model = null;
let square = null; // the last picture as the model sees it
let taken = 0; // pictures
let tested = null;
const fields = new Map(); // question's id -> its field: in a form they would be names beside `length` and `append`

function element(tag, content, attributes = {}) {
  const node = document.createElement(tag);
  node.textContent = content;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

function showError(error) {
  if (!(error instanceof Refused)) console.error(error);
  byId('status').textContent = error.message ?? String(error);
}

/** Runs an action of the user's; what goes wrong is said on the screen. */
const attempt = (action) => async (...values) => {
  try {
    await action(...values);
  } catch (error) {
    showError(error);
  }
};

function translate() {
  document.documentElement.lang = said();
  for (const node of document.querySelectorAll('[data-text]')) node.textContent = say(node.dataset.text);
  byId('square').setAttribute('aria-label', say('square'));
  if (model) byId('status').textContent = say('ready', {file: model.entry.file});
  drawQuestions(given());
  showTested();
}

function drawQuestions(answers) {
  const form = byId('form');
  form.replaceChildren();
  fields.clear();
  byId('questions').hidden = !model?.questions.length;
  for (const {id, kind, text: question, choices, min, max, unit} of model?.questions ?? []) {
    const label = element('label', words(question, said()) + (unit ? ` (${UNITS[said()]?.get(unit) ?? unit})` : ''));
    const field = document.createElement(kind === 'number' ? 'input' : 'select');
    field.dataset.question = id;
    fields.set(id, field);
    if (kind === 'number') {
      Object.assign(field, {type: 'number', min, max, step: 'any', inputMode: 'decimal'});
    } else {
      const options = kind === 'yes_no'
        ? [['true', say('yes')], ['false', say('no')]]
        : choices.map((choice) => [choice.id, words(choice.text, said())]);
      for (const [value, name] of [['', say('skipped')], ...options]) field.append(element('option', name, {value}));
    }
    field.value = answers[id] === undefined ? '' : String(answers[id]);
    label.append(field);
    form.append(label);
  }
}

/** What is answered in the form, by question. */
function given() {
  const answers = Object.create(null); // `__proto__` is an id like any other
  for (const {id, kind} of model?.questions ?? []) {
    const value = fields.get(id)?.value ?? '';
    if (value !== '') answers[id] = {yes_no: value === 'true', choice: value, number: Number(value)}[kind];
  }
  return answers;
}

function drawSquare(picture, mask) {
  const {side, manifest} = model;
  const canvas = byId('square');
  canvas.width = side;
  canvas.height = side;
  const image = new ImageData(side, side);
  for (let i = 0; i < side * side; i += 1) {
    image.data.set([picture[3 * i], picture[3 * i + 1], picture[3 * i + 2], 255], 4 * i);
    if (mask && mask[i] >= manifest.mask.threshold) image.data[4 * i + 2] = 255; // the lesion, in blue
  }
  canvas.getContext('2d').putImageData(image, 0, 0);
  canvas.hidden = false;
}

function hide() {
  for (const id of ['result', 'square']) byId(id).hidden = true;
}

/** A picture that is refused must not leave the last one's answer on the screen. */
function forget() {
  square = null;
  hide();
}

/** Shows what the model says of the picture and the answers; where that fails, nothing of an earlier one stays. */
async function answer() {
  if (!square) return;
  const picture = square;
  try {
    await show(picture, given());
    if (square === picture) byId('status').textContent = say('ready', {file: model.entry.file});
  } catch (error) {
    if (square !== picture) return;
    hide();
    throw error;
  }
}

async function show(picture, answers) {
  const {probabilities, mask} = await model.run(picture, encode(model.questions, answers));
  if (square !== picture) return; // another one was chosen meanwhile
  checkProbabilities(probabilities, model.codes.length);
  const {decision} = model.manifest;
  const force = decision ? inForce(decision, Object.keys(answers).length) : null;
  const shown = force ? tempered(probabilities, force) : probabilities;
  let outcome = {outcome: 'class', code: model.codes[shown.indexOf(Math.max(...shown))], failed: []};
  if (force) {
    check(model.side, force, shown, model.codes);
    outcome = decide(measure(picture, model.side), force, shown, model.codes);
  }
  const first = model.codes.indexOf(outcome.code);
  byId('outcome').textContent = say(outcome.outcome, {
    name: first < 0 ? '' : shownName(model, first), percent: first < 0 ? '' : decimal(100 * shown[first], 1),
    reason: outcome.failed.length ? say(outcome.failed[0]) : '',
  });
  byId('outcome').dataset.outcome = outcome.outcome;
  byId('ranked').replaceChildren(...shown.map((p, i) => [p, i]).sort(([a], [b]) => b - a).map(([p, i]) => {
    const item = element('li', '', {'data-code': model.codes[i], 'data-probability': probabilities[i]});
    const meter = element('meter', '', {min: 0, max: 1, value: p, 'aria-label': shownName(model, i)});
    item.append(element('span', shownName(model, i)), element('span', `${decimal(100 * p, 1)}\u00a0%`), meter);
    return item;
  }));
  const retake = outcome.outcome === 'retake'; // nothing is said of such a picture
  for (const id of ['ranked', 'meaning', 'effects']) byId(id).hidden = retake;
  showEffects(answers);
  drawSquare(picture, retake ? null : mask);
  byId('result').hidden = false;
}

/** What each answer did to the odds of the class that it changed most. */
function showEffects(answers) {
  const {log_odds: rows} = model.manifest;
  byId('effects').replaceChildren(...(rows ? Object.entries(answers) : []).map(([id, value]) => {
    const question = model.questions.find((one) => one.id === id);
    const vector = encode(model.questions, {[id]: value});
    const added = rows.map((row) => row.reduce((sum, odds, place) => sum + odds * vector[place], 0));
    const most = added.reduce((best, odds, i) => (Math.abs(odds) > Math.abs(added[best]) ? i : best), 0);
    const choice = question.choices?.find((one) => one.id === value);
    const told = {yes_no: value ? say('yes') : say('no'), choice: choice && words(choice.text, said())}[question.kind] ?? value;
    return element('li', say('effect', {
      question: words(question.text, said()), answer: told, name: shownName(model, most), factor: decimal(Math.exp(added[most]), 2),
    }));
  }));
}

/** Answers for the picture that `read` gives. */
async function take(read) {
  forget();
  taken += 1;
  const own = taken;
  byId('status').textContent = say('computing');
  let picture;
  try {
    picture = modelInput(await read(), model.side);
  } catch (error) {
    if (own === taken) throw error;
  }
  if (own !== taken) return; // another one was chosen meanwhile
  square = picture;
  await answer();
}

async function openCamera() {
  const video = byId('video');
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({video: {facingMode: 'environment'}});
  } catch (error) {
    throw new Refused(say('noCamera', {error: error.name}));
  }
  await video.play();
  for (const id of ['video', 'take', 'hint']) byId(id).hidden = false;
  byId('camera').hidden = true;
  const look = () => {
    if (!video.srcObject) return;
    const {decision} = model.manifest;
    const seen = modelInput(frameOf(video), model.side);
    const [failed] = decision ? failedChecks(measure(seen, model.side), decision.quality) : [];
    byId('hint').textContent = failed ? say(failed) : say('good');
    setTimeout(look, HINT_MS);
  };
  look();
}

function closeCamera() {
  const video = byId('video');
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
  for (const id of ['video', 'take', 'hint']) byId(id).hidden = true;
  byId('camera').hidden = false;
}

function showTested() {
  if (!tested) return;
  const {rows, failed, delta, median, p90, cold, seen, memory} = tested;
  const times = {median: decimal(median, 1), p90: decimal(p90, 1), cold: decimal(cold, 1), load: decimal(model.milliseconds, 0)};
  byId('verdict').textContent = [
    failed.length ? say('failed', {names: failed.join(', ')}) : say('passed', {delta: delta.toExponential(1)}),
    say('times', times), memory === null ? '' : say('memory', {megabytes: decimal(memory / 1e6, 0)}),
    say(seen ? 'seen' : 'unseen'),
  ].filter(Boolean).join(' ');
  byId('verdict').dataset.delta = delta;
  byId('verdict').dataset.failed = failed.length;
  const list = (numbers) => numbers.map((p) => decimal(p, 4)).join(' ');
  const line = (tag, cells) => {
    const row = document.createElement('tr');
    row.append(...cells.map((cell) => element(tag, cell)));
    return row;
  };
  byId('table').replaceChildren(
    line('th', ['image', 'expected', 'obtained', 'difference'].map((name) => say(name))),
    ...rows.map((row) => line('td', [row.image, list(row.expected), list(row.obtained), row.delta.toExponential(1)])),
  );
  byId('table').hidden = false;
  byId('save').hidden = false;
}

/** Everything that was loaded is kept for the next time, with or without a network. */
async function keepForOffline() {
  if (!('serviceWorker' in navigator)) return;
  await navigator.serviceWorker.register('service_worker.js');
  const {active} = await navigator.serviceWorker.ready;
  navigator.serviceWorker.addEventListener('message', () => { document.body.dataset.offline = 'kept'; });
  const own = performance.getEntriesByType('resource').map(({name}) => name).filter((name) => name.startsWith(location.origin));
  const images = model.manifest.self_test.map(({image}) => new URL(`model/${image}`, location.href).href);
  active.postMessage([...new Set([location.href.split('#')[0], ...own, ...images])]);
}

byId('language').addEventListener('change', attempt(async () => {
  translate();
  await answer();
}));
byId('file').addEventListener('change', attempt(async ({target}) => {
  const [file] = target.files;
  if (file && model) await take(() => readPhoto(file));
}));
byId('camera').addEventListener('click', attempt(openCamera));
byId('take').addEventListener('click', attempt(async () => {
  await take(() => {
    byId('file').value = ''; // its picture is no longer the one shown, and may be chosen again
    const picture = frameOf(byId('video'));
    closeCamera();
    return picture;
  });
}));
byId('form').addEventListener('change', attempt(answer));
byId('form').addEventListener('submit', (event) => event.preventDefault());
byId('run').addEventListener('click', attempt(async () => {
  byId('verdict').textContent = say('computing');
  tested = await selfTest(model);
  showTested();
}));
byId('save').addEventListener('click', attempt(async () => {
  const text = await deviceReport(model, tested);
  const address = URL.createObjectURL(new Blob([text], {type: 'application/json'}));
  element('a', '', {href: address, download: 'device-report.json'}).click();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
}));

byId('language').value = Object.keys(TEXTS).find((language) => navigator.language.startsWith(language)) ?? 'en';
translate();
byId('status').textContent = say('loading');
try {
  model = await Model.load();
  byId('run').disabled = false;
  byId('camera').disabled = false;
  translate();
  document.body.dataset.state = 'ready';
  await keepForOffline();
} catch (error) {
  showError(error);
  document.body.dataset.state = 'failed';
}
