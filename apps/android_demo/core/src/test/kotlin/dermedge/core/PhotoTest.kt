package dermedge.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test
import java.io.File
import java.nio.ByteBuffer

private val FILES = File(System.getProperty("golden")!!, "preprocess/files")

class PhotoTest {
    private fun plan(bytes: ByteArray): PhotoPlan = planOf(ByteBuffer.wrap(bytes))

    private fun reason(bytes: ByteArray): Reason = assertThrows(Refused::class.java) { plan(bytes) }.reason

    @Test
    fun `what Android shows otherwise is refused, and the rest is read`() {
        val refused = FILES.listFiles()!!.sortedBy { it.name }.mapNotNull { file ->
            try {
                plan(file.readBytes())
                null
            } catch (refusal: Refused) {
                file.name to refusal.reason
            }
        }
        val wanted = listOf("cicp_p3.png", "exif_r03.jpg", "exif_r03.png", "gama_of_srgb_alone.png").map { it to Reason.COLOUR_STATED } +
            ("grey16.png" to Reason.DEEP) +
            FILES.list()!!.filter { it.endsWith("heic") || it.endsWith("avif") }.map { it to Reason.PHONE_DECODES }
        assertEquals(wanted.toMap(), refused.toMap())
    }

    @Test
    fun `orientations are those of the file`() {
        for (file in FILES.listFiles()!!.filter { it.name.startsWith("orientation_") && it.extension != "heic" }) {
            assertEquals(file.nameWithoutExtension.last().digitToInt(), plan(file.readBytes()).orientation, file.name)
        }
    }

    @Test
    fun `each orientation turns as EXIF says`() {
        val stored = Picture(2, 1, byteArrayOf(1, 1, 1, 2, 2, 2))
        val turned = (1..8).associateWith { oriented(stored, it).let { p -> Triple(p.width, p.height, p.inMemory().rgb.first().toInt()) } }
        assertEquals(
            mapOf(
                1 to Triple(2, 1, 1), 2 to Triple(2, 1, 2), 3 to Triple(2, 1, 2), 4 to Triple(2, 1, 1),
                5 to Triple(1, 2, 1), 6 to Triple(1, 2, 1), 7 to Triple(1, 2, 2), 8 to Triple(1, 2, 2),
            ),
            turned,
        )
    }

    /** A JPEG whose frame header says so, up to its first scan. */
    private fun jpeg(width: Int, height: Int, frame: Int = 0xC0, bits: Int = 8, tail: String = "FFD9"): ByteArray {
        val header = "FFD8FF%02X000B%02X%04X%04X01011100FFDA0008010100003F00AA".format(frame, bits, height, width)
        return (header + tail).chunked(2).map { it.toInt(16).toByte() }.toByteArray()
    }

    @Test
    fun `large photographs are decoded smaller, and whole ones only`() {
        assertEquals(1, plan(jpeg(8160, 6120)).scale)
        assertEquals(2, plan(jpeg(12000, 9000)).scale)
        assertEquals(4, plan(jpeg(16320, 12240)).scale)
        assertEquals(Reason.TOO_MANY_PIXELS, reason(jpeg(20000, 12801)))
        assertEquals(Reason.TOO_MANY_PIXELS, reason(jpeg(20001, 100)))
        assertEquals(Reason.TOO_MANY_PIXELS, reason(jpeg(12000, 9000, frame = 0xC2)))
        assertEquals(Reason.DAMAGED, reason(jpeg(12000, 9000, tail = "00")))
    }

    @Test
    fun `what is no photograph is refused by name`() {
        assertEquals(Reason.DEEP, reason(jpeg(10, 10, bits = 12)))
        assertEquals(Reason.UNKNOWN_KIND, reason(jpeg(10, 10, frame = 0xC9)))
        assertEquals(Reason.DAMAGED, reason(jpeg(0, 10)))
        assertEquals(Reason.UNKNOWN_KIND, reason("<html>not found</html>".toByteArray()))
        assertEquals(Reason.UNKNOWN_KIND, reason(ByteArray(0)))
        assertEquals(Reason.DAMAGED, reason(File(FILES, "rgb.png").readBytes().copyOf(60)))
        assertEquals(Reason.DAMAGED, reason(File(FILES, "quality_95.jpg").readBytes().copyOf(100)))
    }
}
