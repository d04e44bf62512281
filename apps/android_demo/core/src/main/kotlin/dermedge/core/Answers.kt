// docs/answers.md: what a person answers becomes the model's second input, and which thresholds are then in force.
package dermedge.core

import kotlin.math.abs
import kotlin.math.exp
import kotlin.math.pow

enum class QuestionKind { YES_NO, CHOICE, NUMBER }

/** Language -> words, the manifest's first language first. */
typealias Words = Map<String, String>

class Choice(val id: String, val text: Words)

/** A question of the manifest. [min], [max] and [knots] of a NUMBER; [offset] and [length] in the vector. */
class Question(
    val id: String, val text: Words, val kind: QuestionKind, val choices: List<Choice>, val unit: String?,
    val min: Double?, val max: Double?, val knots: List<Double>, val offset: Int, val length: Int,
)

/** Id of a question -> true or false, the id of a choice, or a number. What is missing or null is not answered. */
typealias Answers = Map<String, Any?>

/** Throws Refused for an answer that a question does not take, or to a question that the manifest has not. */
fun checkAnswers(questions: List<Question>, answers: Answers) {
    for ((id, answer) in answers) {
        val question = questions.find { it.id == id }
        if (question == null || (answer != null && !fits(question, answer))) throw Refused(Reason.NO_ANSWER, id, answer ?: "null")
    }
}

private fun fits(question: Question, answer: Any): Boolean = when (question.kind) {
    QuestionKind.YES_NO -> answer is Boolean
    QuestionKind.CHOICE -> question.choices.any { it.id == answer }
    QuestionKind.NUMBER -> answer is Number && answer.toDouble() in question.min!!..question.max!! // false for NaN
}

/** The second input, float32 (Q); all 0 where nothing is answered. */
fun encode(questions: List<Question>, answers: Answers): FloatArray {
    checkAnswers(questions, answers)
    val vector = FloatArray(questions.sumOf { it.length })
    for (question in questions) {
        val answer = answers[question.id] ?: continue
        val first = question.offset
        when (question.kind) {
            QuestionKind.YES_NO -> vector[first + if (answer == true) 0 else 1] = 1f
            QuestionKind.CHOICE -> vector[first + question.choices.indexOfFirst { it.id == answer }] = 1f
            QuestionKind.NUMBER -> {
                val knots = question.knots
                val number = (answer as Number).toDouble().coerceIn(knots.first(), knots.last())
                val below = knots.dropLast(1).indexOfLast { it <= number }
                val share = (number - knots[below]) / (knots[below + 1] - knots[below])
                vector[first] = 1f
                vector[first + 1 + below] = (1 - share).toFloat()
                vector[first + 2 + below] = share.toFloat()
            }
        }
    }
    return vector
}

/** How many questions are answered. */
fun countOf(answers: Answers): Int = answers.values.count { it != null }

/** The probabilities that are shown, and that all thresholds are about. */
fun tempered(probabilities: DoubleArray, temperature: Double): DoubleArray {
    if (temperature == 1.0) return probabilities
    val powers = probabilities.map { maxOf(it, 0.0).pow(1 / temperature) }
    val sum = powers.sum()
    return DoubleArray(powers.size) { powers[it] / sum }
}

/** Whether the malignant classes together reach their threshold; null without one. [malignant]: of each class, or null. */
fun countsAsMalignant(probabilities: DoubleArray, points: Points, malignant: List<Boolean?>): Boolean? {
    val threshold = points.malignantThreshold ?: return null
    return probabilities.indices.filter { malignant[it] == true }.sumOf { probabilities[it] } >= threshold
}

/** What one answer did: the class whose odds it changed most, and by which factor. */
class Effect(val question: Question, val answer: Any, val classIndex: Int, val factor: Double)

/** What each answer changed. [logOdds]: the manifest's, a row for each class. */
fun effects(questions: List<Question>, logOdds: List<DoubleArray>, answers: Answers): List<Effect> =
    questions.filter { answers[it.id] != null }.map { question ->
        val answer = answers.getValue(question.id)!!
        val vector = encode(questions, mapOf(question.id to answer))
        val added = logOdds.map { row -> row.indices.sumOf { row[it] * vector[it] } }
        val most = added.indices.fold(0) { best, i -> if (abs(added[i]) > abs(added[best])) i else best }
        Effect(question, answer, most, exp(added[most]))
    }
