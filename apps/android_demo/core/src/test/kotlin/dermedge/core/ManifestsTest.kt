package dermedge.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.TestFactory

class ManifestsTest {
    private val vectors = golden("manifests/cases.json")

    /** [whole] with something else [at] a place, or with nothing there. */
    private fun withPart(whole: Any?, at: List<*>, part: Map<*, *>): Any? {
        val key = at.firstOrNull() ?: return part["value"]
        val rest = at.drop(1)
        if (whole is List<*>) return whole.mapIndexed { i, entry -> if (i.toLong() == key) withPart(entry, rest, part) else entry }
        val map = whole as Map<*, *>
        if (rest.isEmpty() && "value" !in part) return map - key
        return map + (key to withPart(map[key], rest, part))
    }

    @Suppress("UNCHECKED_CAST")
    private fun changed(entry: Map<String, Any?>): Any? {
        val changes = (entry["changes"] as Map<String, Any?>?).orEmpty()
        val whole = (vectors["manifest"] as Map<String, Any?> + changes).filterNot { (key, value) -> key in changes && value == null }
        val part = entry["part"] as Map<String, Any?>? ?: return whole
        return withPart(whole, part["at"] as List<*>, part)
    }

    @TestFactory
    fun `the same are refused`(): List<DynamicTest> = vectors.cases("cases").map { entry ->
        dynamicTest(entry["name"] as String) {
            assertEquals(entry["accepted"] != true, refuses { readManifest(writeJson(changed(entry)).toByteArray()) })
        }
    }
}
