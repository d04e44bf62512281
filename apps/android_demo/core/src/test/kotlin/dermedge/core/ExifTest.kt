package dermedge.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.TestFactory
import java.nio.ByteBuffer

class ExifTest {
    @TestFactory
    fun `blocks say the same, also damaged ones`(): List<DynamicTest> = golden("exif/cases.json").cases("cases").map { entry ->
        dynamicTest(entry["name"] as String) {
            val bytes = (entry["block"] as String).chunked(2).map { it.toInt(16).toByte() }.toByteArray()
            val exif = Exif.of(ByteBuffer.wrap(bytes))
            assertEquals(entry.int("orientation") to entry["other_space"], exif.orientation to exif.otherColours)
        }
    }
}
