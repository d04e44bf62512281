package dermedge.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class JsonTest {
    @Test
    fun `values as the standard has them`() {
        val value = parseJson(""" {"a": [1, -2.5e1, true, null], "\u00e9\n": "x\"\\\/", "b": {}} """)
        assertEquals(mapOf("a" to listOf(1L, -25.0, true, null), "é\n" to "x\"\\/", "b" to emptyMap<String, Any?>()), value)
    }

    @Test
    fun `what is written is read again`() {
        val value = mapOf("text" to "a\"\\\u0001é\u2028", "numbers" to listOf(1L, 1e-7, -0.1), "none" to null, "flag" to false)
        assertEquals(value, parseJson(writeJson(value)))
    }

    @Test
    fun `what is no JSON is refused`() {
        val texts = listOf(
            "", "{", "[1,]", "{\"a\": 1,}", "01", "+1", ".5", "1.", "NaN", "Infinity", "1e999", "\"\u0001\"", "\"\\x\"", "\"\\u12\"", "tru",
            "1 2", "{\"a\": 1, \"a\": 2}", "{a: 1}", "'a'", "[".repeat(100_000), "\"open",
        )
        for (text in texts) assertTrue(refuses { parseJson(text) }, text.take(20))
    }

    @Test
    fun `a number that JSON has not is not written`() {
        assertTrue(refuses { writeJson(listOf(Double.NaN)) })
        assertTrue(refuses { writeJson(Double.POSITIVE_INFINITY) })
    }
}
