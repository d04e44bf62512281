package dermedge.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.TestFactory

class ManifestsTest {
    private val vectors = golden("manifests/cases.json")

    @Suppress("UNCHECKED_CAST")
    @TestFactory
    fun `the same are refused`(): List<DynamicTest> = vectors.cases("cases").map { entry ->
        dynamicTest(entry["name"] as String) {
            val changes = entry["changes"] as Map<String, Any?>
            val whole = vectors["manifest"] as Map<String, Any?> + changes
            val bytes = writeJson(whole.filterNot { (key, value) -> key in changes && value == null }).toByteArray()
            assertEquals(entry["accepted"] != true, refuses { readManifest(bytes) })
        }
    }
}
