// docs/answers.md: the questions of a manifest, each in its places of the model's second input.
import {lacks, numbers, within} from './refused.js';

const ID = /^[A-Za-z0-9_-]{1,64}$/;
const LARGEST = 1e9; // of min, max and knots, whose differences are divided by
const MOST = 100; // questions, choices of one, knots of one
const PLACES = {yes_no: () => 2, choice: ({choices}) => choices.length, number: ({knots}) => 1 + knots.length};

const ascending = (values) => values.every((value, i) => i === 0 || value > values[i - 1]);
const isId = (id) => typeof id === 'string' && ID.test(id);
const differ = (ids) => new Set(ids).size === ids.length;

function isWords(texts) {
  const all = texts !== null && typeof texts === 'object' ? Object.values(texts) : [];
  return Object.hasOwn(texts ?? {}, 'en') && all.every((text) => typeof text === 'string');
}

function checkQuestion(question) {
  const {id, text, kind, choices, knots, unit, min, max, length} = question ?? {};
  const lists = Array.isArray(choices) && choices.length <= MOST && numbers(knots) && knots.length <= MOST;
  if (!isId(id) || !isWords(text) || !Object.hasOwn(PLACES, kind) || !lists || length !== PLACES[kind](question)) {
    throw lacks(`the question ${String(id).slice(0, 64)}`);
  }
  const each = choices.every((choice) => isId(choice?.id) && isWords(choice.text)) && differ(choices.map((choice) => choice.id));
  if (!each || (kind === 'choice' && choices.length < 2)) throw lacks(`the choices of the question ${id}`);
  if (kind !== 'choice' && choices.length) throw lacks(`the choices of the question ${id}, which has none`);
  if (kind !== 'number') {
    if (unit !== null || min !== null || max !== null || knots.length) throw lacks(`the question ${id}, which asks for no number`);
    return;
  }
  if (!within(min, -LARGEST, LARGEST) || !within(max, -LARGEST, LARGEST) || !(min < max)) {
    throw lacks(`the range of the question ${id}`);
  }
  if (knots.length < 2 || !ascending(knots) || knots.some((knot) => Math.abs(knot) > LARGEST)) {
    throw lacks(`the knots of the question ${id}`);
  }
}

/** Q, the places of the second input; Refused unless each question has its own, one after the other. */
export function checkQuestions(questions) {
  if (!Array.isArray(questions) || questions.length > MOST) throw lacks('questions');
  let places = 0;
  for (const question of questions) {
    checkQuestion(question);
    if (question.offset !== places) throw lacks(`the places of the question ${question.id}`);
    places += question.length;
  }
  if (!differ(questions.map(({id}) => id))) throw lacks('the ids of its questions, which are not all different');
  return places;
}
