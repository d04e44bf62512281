package dermedge.core

import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory
import kotlin.math.exp

class AnswersTest {
    private val vectors = golden("answers/cases.json")

    @Suppress("UNCHECKED_CAST")
    private val questions = (vectors["questions"] as Map<String, Any?>).mapValues { (name, list) ->
        Tree(list, name).list().map(::question)
    }

    @Suppress("UNCHECKED_CAST")
    private fun answersOf(entry: Map<String, Any?>) = entry["answers"] as Map<String, Any?>

    @TestFactory
    fun `the same vectors`(): List<DynamicTest> = vectors.cases("encoded").map { entry ->
        dynamicTest(entry["name"] as String) {
            val vector = encode(questions.getValue(entry["questions"] as String), answersOf(entry))
            assertArrayEquals(entry.numbers("vector"), vector.map { it.toDouble() }.toDoubleArray(), 1e-6)
        }
    }

    @TestFactory
    fun `the same refusals`(): List<DynamicTest> = vectors.cases("refused").map { entry ->
        dynamicTest(entry["name"] as String) {
            val refused = refuses { encode(questions.getValue(entry["questions"] as String), answersOf(entry)) }
            assertEquals(entry["accepted"] != true, refused)
        }
    }

    @TestFactory
    fun `the same thresholds`(): List<DynamicTest> = vectors.cases("thresholds").map { entry ->
        dynamicTest(entry["name"] as String) {
            val tree = Tree(entry["decision"], "decision")
            val cases = tree.maybe("by_answers")?.list().orEmpty().map { it["from"].int() to points(it) }
            val inForce = Decision(DECISION_VERSION, 128, emptyMap(), points(tree), cases).inForce(entry.int("answered"))
            val shown = tempered(entry.numbers("probabilities"), inForce.temperature)
            assertArrayEquals(entry.numbers("tempered"), shown, 1e-9)
            assertEquals(entry["sure"], shown.max() >= inForce.abstainThreshold)
            val flags = (entry["flags"] as List<*>).map { it as Boolean? }
            assertEquals(entry["malignant"], countsAsMalignant(shown, inForce, flags))
        }
    }

    @Test
    fun `an answer tells what it added to the odds`() {
        val list = listOf(
            Question("itches", mapOf("en" to "?"), QuestionKind.YES_NO, emptyList(), null, null, null, emptyList(), 0, 2),
            Question("grew", mapOf("en" to "?"), QuestionKind.YES_NO, emptyList(), null, null, null, emptyList(), 2, 2),
        )
        val odds = listOf(doubleArrayOf(0.5, 0.0, 0.0, 0.1), doubleArrayOf(-0.7, 0.0, 0.0, 0.05))
        val told = effects(list, odds, mapOf("itches" to true, "grew" to null))
        assertEquals(listOf("itches" to 1), told.map { it.question.id to it.classIndex })
        assertEquals(exp(-0.7), told.single().factor, 1e-12)
    }
}
