// docs/preprocess.md, section 2 (version area-2): upright pixels become the square that the model sees.
package dermedge.core

const val PREPROCESS_VERSION = "area-2"
const val MAX_LENGTH = 20_000 // pixels along a side of a picture
const val MAX_PIXELS = 50_000_000
const val MAX_SIDE = 4096 // pixels along a side of the model's input

/** An upright picture in sRGB that gives its pixels row by row, so that none of a large one is copied. */
interface Pixels {
    val width: Int
    val height: Int

    /** [count] pixels of row [y] from column [x] on, as red, green, blue, into the begin of [rgb]. */
    fun read(y: Int, x: Int, count: Int, rgb: ByteArray)

    /** [count] pixels of column [x] from row [y] on, as [read]. */
    fun readColumn(x: Int, y: Int, count: Int, rgb: ByteArray) {
        val pixel = ByteArray(3)
        for (i in 0 until count) {
            read(y + i, x, 1, pixel)
            pixel.copyInto(rgb, 3 * i)
        }
    }
}

/** A picture in memory: [rgb] has three bytes per pixel, rows from the top. */
class Picture(override val width: Int, override val height: Int, val rgb: ByteArray) : Pixels {
    init {
        checkSize(width, height)
        demand(rgb.size.toLong() == 3L * width * height) { "$width x $height pixels are not ${rgb.size} bytes" }
    }

    override fun read(y: Int, x: Int, count: Int, rgb: ByteArray) {
        val from = 3 * (y * width + x)
        this.rgb.copyInto(rgb, 0, from, from + 3 * count)
    }
}

/** Throws Refused unless a picture may have this size. */
fun checkSize(width: Int, height: Int) {
    whole(width, 1, MAX_LENGTH, "the width of a picture")
    whole(height, 1, MAX_LENGTH, "the height of a picture")
    if (width.toLong() * height > MAX_PIXELS) throw Refused(Reason.TOO_MANY_PIXELS, width, height)
}

/** For each pixel of the result: the first source that it covers, and the length of each overlap. */
private class Spans(length: Int, side: Int) {
    val first = IntArray(side) { (it.toLong() * length / side).toInt() }
    val overlaps = Array(side) { i ->
        val last = (((i + 1L) * length - 1) / side).toInt()
        LongArray(last - first[i] + 1) { q ->
            val j = first[i] + q
            minOf((i + 1L) * length, (j + 1L) * side) - maxOf(i.toLong() * length, j.toLong() * side)
        }
    }
}

/** The model's input: side x side x 3 bytes (RGB, rows from the top). Throws Refused for what the page refuses. */
fun modelInput(picture: Pixels, side: Int): ByteArray {
    checkSize(picture.width, picture.height)
    whole(side, 1, MAX_SIDE, "the side of the model's input")
    val shorter = minOf(picture.width, picture.height)
    val top = (picture.height - shorter) / 2
    val left = (picture.width - shorter) / 2
    val spans = Spans(shorter, side)
    val area = shorter.toLong() * shorter
    val row = ByteArray(3 * shorter)
    val sums = LongArray(3 * shorter)
    val result = ByteArray(side * side * 3)
    var inRow = -1 // the source that `row` holds: two pixels of the result may share it
    for (i in 0 until side) {
        sums.fill(0)
        spans.overlaps[i].forEachIndexed { r, overlap ->
            val source = spans.first[i] + r
            if (source != inRow) picture.read(top + source, left, shorter, row)
            inRow = source
            for (q in sums.indices) sums[q] += overlap * (row[q].toInt() and 0xff)
        }
        for (k in 0 until side) {
            val overlaps = spans.overlaps[k]
            for (c in 0..2) {
                var total = 0L
                for (q in overlaps.indices) total += overlaps[q] * sums[3 * (spans.first[k] + q) + c]
                result[3 * (i * side + k) + c] = ((2 * total + area) / (2 * area)).toByte()
            }
        }
    }
    return result
}
