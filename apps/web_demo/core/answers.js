// docs/answers.md: what a person answers becomes the model's second input, and which thresholds are then in force.
import {Refused} from './refused.js';

/** Throws Refused for an answer that a question does not take, or to a question that the manifest has not. */
export function checkAnswers(questions, answers) {
  for (const [id, answer] of Object.entries(answers)) {
    const question = questions.find((one) => one.id === id);
    if (!question) throw new Refused(`no question is called ${id}`);
    if (answer !== null && answer !== undefined && !fits(question, answer)) {
      throw new Refused(`${id}: ${String(answer)} is no answer to this question`);
    }
  }
}

function fits(question, answer) {
  if (question.kind === 'yes_no') return typeof answer === 'boolean';
  if (question.kind === 'choice') return question.choices.some(({id}) => id === answer);
  return typeof answer === 'number' && answer >= question.min && answer <= question.max; // false for NaN
}

/** The second input, Float32Array (Q); all 0 where nothing is answered. `answers`: id -> boolean, id of a choice, number. */
export function encode(questions, answers) {
  checkAnswers(questions, answers);
  const vector = new Float32Array(questions.reduce((sum, {length}) => sum + length, 0));
  for (const {id, kind, offset, choices, knots} of questions) {
    const answer = Object.hasOwn(answers, id) ? answers[id] : null; // `constructor` is an id like any other
    if (answer === null || answer === undefined) continue;
    if (kind === 'yes_no') {
      vector[offset + (answer ? 0 : 1)] = 1;
    } else if (kind === 'choice') {
      vector[offset + choices.findIndex((choice) => choice.id === answer)] = 1;
    } else {
      vector[offset] = 1;
      const number = Math.min(Math.max(answer, knots[0]), knots[knots.length - 1]);
      const below = knots.slice(0, -1).findLastIndex((knot) => knot <= number);
      const share = (number - knots[below]) / (knots[below + 1] - knots[below]);
      vector[offset + 1 + below] = 1 - share;
      vector[offset + 2 + below] = share;
    }
  }
  return vector;
}

/** A manifest's `decision` with the thresholds for that many answers. */
export function inForce(decision, answered) {
  const entry = (decision.by_answers ?? []).findLast((one) => one.from <= answered);
  return entry ? {...decision, ...entry} : decision;
}

/** The probabilities that are shown, and that all thresholds are about. */
export function tempered(probabilities, {temperature = 1}) {
  if (temperature === 1) return probabilities;
  const powers = probabilities.map((p) => Math.max(p, 0) ** (1 / temperature));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/** Whether the malignant classes together reach their threshold; null without one. `malignant`: of each class, or null. */
export function countsAsMalignant(probabilities, thresholds, malignant) {
  if (thresholds.malignant_threshold === undefined) return null;
  const sum = probabilities.reduce((total, p, i) => (malignant[i] === true ? total + p : total), 0);
  return sum >= thresholds.malignant_threshold;
}
