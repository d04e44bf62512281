package dermedge.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.TestFactory
import java.util.Base64

class DecisionTest {
    private val vectors = golden("decision/cases.json")

    private fun decisionOf(value: Map<*, *>): Decision {
        val tree = Tree(value, "decision")
        val limits = tree["quality"].keys().associateWith { tree["quality"][it].int() }
        return Decision(tree["version"].text(), tree["side"].int(), limits, points(tree))
    }

    @TestFactory
    fun `the same nine numbers`(): List<DynamicTest> = vectors.cases("pictures").map { entry ->
        dynamicTest(entry["name"] as String) {
            val side = entry.int("side")
            val square = (entry["rgb"] as String?)?.let { Base64.getDecoder().decode(it) } ?: noise(entry["noise"] as Long, 3 * side * side)
            val measured = measure(square, side).entries.associate { (check, value) -> check.key to value.toLong() }
            assertEquals(entry["measured"], measured)
        }
    }

    @TestFactory
    fun `the same outcomes`(): List<DynamicTest> = vectors.cases("outcomes").map { entry ->
        dynamicTest(entry["name"] as String) {
            val decision = decisionOf(
                mapOf("version" to DECISION_VERSION, "side" to 128L, "quality" to entry["limits"], "abstain_threshold" to entry["threshold"]),
            )
            val (probabilities, codes) = entry.numbers("probabilities") to entry.texts("labels")
            checkDecision(128, decision, decision.points, probabilities, codes)
            val measured = (entry["measured"] as Map<*, *>).entries.associate { (key, value) ->
                Check.valueOf((key as String).uppercase()) to (value as Long).toInt()
            }
            val outcome = decide(measured, decision.limits, decision.points, probabilities, codes)
            assertEquals(entry["outcome"], outcome.kind.name.lowercase())
            assertEquals(entry["label"], outcome.code)
            assertEquals(entry.texts("failed"), outcome.failed.map { it.key })
        }
    }

    @TestFactory
    fun `the same refusals`(): List<DynamicTest> = vectors.cases("refused").map { entry ->
        dynamicTest(entry["name"] as String) {
            val refused = refuses {
                val decision = decisionOf(entry["decision"] as Map<*, *>)
                checkDecision(entry.int("side"), decision, decision.points, entry.numbers("probabilities"), entry.texts("labels"))
            }
            assertEquals(entry["accepted"] != true, refused)
        }
    }
}
