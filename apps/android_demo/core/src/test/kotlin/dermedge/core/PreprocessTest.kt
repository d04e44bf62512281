package dermedge.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory
import java.nio.ByteBuffer

class PreprocessTest {
    private fun frame(entry: Map<String, Any?>): Picture {
        val (width, height) = entry.int("width") to entry.int("height")
        val kind = entry["kind"]
        if (kind == "rgb") return Picture(width, height, content(entry, 3 * width * height))
        if (kind == "bgra") return rgbOfBgra(width, height, content(entry), entry["row_stride"] as Long)
        val planes = if (entry["layout"] == "planes") {
            entry.cases("planes").map { Plane(content(it), it["row_stride"] as Long, it["pixel_stride"] as Long) }
        } else {
            planesOf(entry["layout"] as String, content(entry), width, height)
        }
        return rgbOfYuv(width, height, planes, Matrix.valueOf((entry["matrix"] as String).uppercase()), entry["full_range"] as Boolean)
    }

    private fun uprightOf(entry: Map<String, Any?>): Pixels {
        val crop = (entry["crop"] as List<*>?)?.map { (it as Long).toInt() }?.let { (l, t, r, b) -> Crop(l, t, r, b) }
        val rotation = (entry["rotation"] as Long? ?: 0).toInt()
        return upright(frame(entry), crop, rotation, entry["mirrored"] == true)
    }

    @TestFactory
    fun `the same bytes as everywhere`(): List<DynamicTest> = golden("preprocess/cases.json").cases("cases").flatMap { entry ->
        val picture by lazy { uprightOf(entry) }
        @Suppress("UNCHECKED_CAST")
        val wanted = entry["upright"] as Map<String, Any?>
        val first = dynamicTest("${entry["name"]}, upright") {
            assertEquals(wanted.int("width") to wanted.int("height"), picture.width to picture.height)
            assertEquals(wanted["sha256"], sha256(picture.inMemory().rgb))
        }
        listOf(first) + entry.cases("inputs").map { input ->
            dynamicTest("${entry["name"]}, ${input["width"]}") {
                assertEquals(input["sha256"], sha256(modelInput(picture, input.int("width"))))
            }
        }
    }

    @Test
    fun `planes are read from the position of their buffers`() {
        val grey = ByteBuffer.wrap(byteArrayOf(9, 9, 100, 100, 100, 100)).apply { position(2) }
        val chroma = ByteBuffer.wrap(byteArrayOf(7, -128)).apply { position(1) }
        val planes = listOf(Plane(grey, 2, 1), Plane(chroma, 1, 1), Plane(chroma, 1, 1))
        assertTrue(rgbOfYuv(2, 2, planes, Matrix.BT601, fullRange = true).rgb.all { it.toInt() == 100 })
    }

    @Test
    fun `a frame that does not fit is refused before a byte is read`() {
        val whole = Plane(ByteArray(16), 4, 1)
        val part = Plane(ByteArray(4), 2, 1)
        fun yuv(y: Plane = whole, u: Plane = part, side: Int = 4) = refuses {
            rgbOfYuv(side, side, listOf(y, u, part), Matrix.BT601, fullRange = true)
        }
        assertTrue(!yuv())
        assertTrue(yuv(y = Plane(ByteArray(15), 4, 1)))
        assertTrue(yuv(y = Plane(ByteArray(16), 3, 1)))
        assertTrue(yuv(u = Plane(ByteArray(4), 2, 0)))
        assertTrue(yuv(u = Plane(ByteArray(4), 1L shl 32, 1)))
        assertTrue(yuv(side = 0))
        assertTrue(refuses { checkSize(20_001, 1) })
        assertTrue(refuses { checkSize(10_000, 5_001) })
        assertTrue(refuses { Picture(2, 2, ByteArray(11)) })
        val picture = Picture(4, 2, ByteArray(24))
        for (crop in listOf(Crop(0, 0, 5, 2), Crop(-1, 0, 4, 2), Crop(2, 0, 2, 2))) assertTrue(refuses { upright(picture, crop) })
        assertTrue(refuses { upright(picture, rotation = 45) })
        for (side in listOf(0, 4097)) assertTrue(refuses { modelInput(picture, side) })
        assertTrue(refuses { planesOf("yv12", ByteArray(24), 4, 4) })
        assertTrue(refuses { rgbOfBgra(2, 2, ByteArray(15), 8) })
    }
}
