// What an EXIF block (EXIF 2.32) says of orientation and colour. Damaged blocks say nothing.
package dermedge.core

import java.nio.ByteBuffer
import java.nio.ByteOrder

private const val ORIENTATION = 0x0112
private const val WHITE_POINT = 0x013E
private const val PRIMARIES = 0x013F
private const val INNER = 0x8769
private const val INTEROPERABILITY = 0xA005
private const val COLOR_SPACE = 0xA001
private const val INDEX = 0x0001
private const val MOST_TAGS = 1000

/** [orientation]: 1 to 8. [otherColours]: it states another colour space than sRGB, which Android does not honour. */
internal class Exif(val orientation: Int, val otherColours: Boolean) {
    companion object {
        val NOTHING = Exif(1, false)

        /** Of a TIFF block, which begins with II or MM. */
        fun of(block: ByteBuffer): Exif = try {
            parsed(block.slice())
        } catch (_: IndexOutOfBoundsException) {
            NOTHING
        }

        private fun parsed(block: ByteBuffer): Exif {
            block.order(
                when (block.getShort(0).toInt()) {
                    0x4949 -> ByteOrder.LITTLE_ENDIAN
                    0x4D4D -> ByteOrder.BIG_ENDIAN
                    else -> return NOTHING
                },
            )
            if (block.getShort(2).toInt() != 42) return NOTHING
            val main = tags(block, block.getInt(4))
            val inner = main[INNER]?.let { tags(block, block.getInt(it + 8)) }.orEmpty()
            val named = inner[INTEROPERABILITY]?.let { tags(block, block.getInt(it + 8)) }.orEmpty()
            val turned = main[ORIENTATION]?.let { short(block, it) } ?: 1
            val space = inner[COLOR_SPACE]?.let { short(block, it) } ?: 0
            val index = named[INDEX]?.let { at -> String(CharArray(3) { (block.get(at + 8 + it).toInt() and 0xff).toChar() }) }
            val other = when {
                space == 1 -> false
                space == 2 || space == 0xFFFD -> true
                index == "R98" -> false
                else -> index == "R03" || (WHITE_POINT in main && PRIMARIES in main)
            }
            return Exif(if (turned in 1..8) turned else 1, other)
        }

        /** Tag -> where its entry begins. */
        private fun tags(block: ByteBuffer, begin: Int): Map<Int, Int> {
            val count = block.getShort(begin).toInt() and 0xffff
            return (0 until minOf(count, MOST_TAGS)).associate { i ->
                val at = begin + 2 + 12 * i
                block.get(at + 11) // all of it is there
                (block.getShort(at).toInt() and 0xffff) to at
            }
        }

        private fun short(block: ByteBuffer, at: Int) = block.getShort(at + 8).toInt() and 0xffff
    }
}
