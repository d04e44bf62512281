package dermedge.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.TestFactory

class OpensTest {
    @TestFactory
    fun `the same files are refused for a runtime`(): List<DynamicTest> = golden("opens/cases.json").cases("cases").map { entry ->
        dynamicTest(entry["name"] as String) {
            val file = FileEntry(
                "net.tflite", "tflite", "", "float32", "float32", 1.0, 0, false, entry["opens_from"] as String, emptyList(),
                entry["recipe"] as String, if (entry["operators"] == null) null else entry.texts("operators").toSet(),
            )
            val runtime = AppRuntime(entry["library"] as String, entry["version"] as String)
            assertEquals(entry["opens"], !refuses { runtime.checkOpens(file) })
        }
    }
}
