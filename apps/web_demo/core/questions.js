// docs/answers.md: the questions of a manifest, each in its places of the model's second input.
import {differ, lacks} from './refused.js';

const LARGEST = 1e9; // of min, max and knots, whose differences are divided by
const PLACES = {yes_no: () => 2, choice: ({choices}) => choices.length, number: ({knots}) => 1 + knots.length};

const ascending = (values) => values.every((value, i) => i === 0 || value > values[i - 1]);
const englishFirst = (texts) => Object.keys(texts)[0] === 'en';

/** Throws Refused for a question that fits the schema and contradicts itself. */
function checkQuestion(question) {
  const {id, text, kind, choices, knots, unit, min, max, length} = question;
  if (length !== PLACES[kind](question)) throw lacks(`the places of the question ${id}`);
  if (![text, ...choices.map((choice) => choice.text)].every(englishFirst)) throw lacks(`the words of the question ${id}, English first`);
  const enough = kind === 'choice' ? choices.length >= 2 && differ(choices.map((choice) => choice.id)) : !choices.length;
  if (!enough) throw lacks(`the choices of the question ${id}`);
  if (kind !== 'number') {
    if (unit !== null || min !== null || max !== null || knots.length) throw lacks(`the question ${id}, which asks for no number`);
    return;
  }
  const near = [min, max, ...knots].every((value) => value !== null && Math.abs(value) <= LARGEST);
  if (!near || !(min < max)) throw lacks(`the range of the question ${id}`);
  if (knots.length < 2 || !ascending(knots)) throw lacks(`the knots of the question ${id}`);
}

/** Q, the places of the second input; Refused unless each question has its own, one after the other. */
export function checkQuestions(questions) {
  let places = 0;
  for (const question of questions) {
    checkQuestion(question);
    if (question.offset !== places) throw lacks(`the places of the question ${question.id}`);
    places += question.length;
  }
  if (!differ(questions.map(({id}) => id))) throw lacks('the ids of its questions, which are not all different');
  return places;
}
