// What an EXIF block (EXIF 2.32) says of orientation and colour. Damaged parts count as not there.
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
private const val ENTRY_BYTES = 12

/** [orientation]: 1 to 8. [otherColours]: it states another colour space than sRGB, which Android does not honour. */
internal class Exif(val orientation: Int, val otherColours: Boolean) {
    companion object {
        val NOTHING = Exif(1, false)

        /** Of a TIFF block, which begins with II or MM. What lies outside of it counts as not there. */
        fun of(block: ByteBuffer): Exif = Tiff.of(block)?.let(::parsed) ?: NOTHING

        private fun parsed(block: Tiff): Exif {
            val main = block.tags(block.long(4))
            val inner = main[INNER]?.let { block.tags(block.long(it + 8)) }.orEmpty()
            val named = inner[INTEROPERABILITY]?.let { block.tags(block.long(it + 8)) }.orEmpty()
            val turned = main[ORIENTATION]?.let { block.short(it + 8) } ?: 1
            val space = inner[COLOR_SPACE]?.let { block.short(it + 8) } ?: 0
            val index = named[INDEX]?.let { block.letters(it + 8, 3) }
            val other = when {
                space == 1 -> false
                space == 2 || space == 0xFFFD -> true
                index == "R98" -> false
                else -> index == "R03" || (WHITE_POINT in main && PRIMARIES in main)
            }
            return Exif(if (turned in 1..8) turned else 1, other)
        }
    }
}

/** A TIFF block whose numbers are 0 and whose directories end where the block does. */
private class Tiff(private val block: ByteBuffer) {
    fun short(at: Int): Int = if (at in 0..block.limit() - 2) block.getShort(at).toInt() and 0xffff else 0

    fun long(at: Int): Int = if (at in 0..block.limit() - 4) block.getInt(at) else 0

    fun letters(at: Int, count: Int) = String(CharArray(count) { (block.get(at + it).toInt() and 0xff).toChar() })

    /** Tag -> where its entry begins, of the entries that are there as a whole; of two with one tag the first counts. */
    fun tags(begin: Int): Map<Int, Int> {
        if (begin !in 8..block.limit()) return emptyMap()
        val whole = (block.limit() - begin - 2) / ENTRY_BYTES
        val entries = LinkedHashMap<Int, Int>()
        repeat(minOf(short(begin), whole, MOST_TAGS)) {
            val at = begin + 2 + ENTRY_BYTES * it
            entries.putIfAbsent(short(at), at)
        }
        return entries
    }

    companion object {
        fun of(bytes: ByteBuffer): Tiff? {
            val block = bytes.slice()
            if (block.limit() < 8) return null
            block.order(
                when (block.getShort(0).toInt()) {
                    0x4949 -> ByteOrder.LITTLE_ENDIAN
                    0x4D4D -> ByteOrder.BIG_ENDIAN
                    else -> return null
                },
            )
            return if (block.getShort(2).toInt() == 42) Tiff(block) else null
        }
    }
}
