// docs/preprocess.md, section 1: frames of a camera become upright RGB.
package dermedge.core

import java.nio.ByteBuffer

/** A plane of bytes with its strides in bytes. [data] is read from its position on. */
class Plane(val data: ByteBuffer, val rowStride: Long, val pixelStride: Long) {
    constructor(data: ByteArray, rowStride: Long, pixelStride: Long) : this(ByteBuffer.wrap(data), rowStride, pixelStride)
}

enum class Matrix { BT601, BT709 }

// 65536 times what luma adds, V adds to red, U and V to green, U to blue; then luma's offset.
private val CONSTANTS = mapOf(
    (Matrix.BT601 to false) to intArrayOf(76309, 104597, -25675, -53279, 132201, 16),
    (Matrix.BT601 to true) to intArrayOf(65536, 91881, -22553, -46802, 116130, 0),
    (Matrix.BT709 to false) to intArrayOf(76309, 117489, -13975, -34925, 138438, 16),
    (Matrix.BT709 to true) to intArrayOf(65536, 103206, -12276, -30679, 121609, 0),
)
private const val MAX_STRIDE = 1L shl 31 // bytes

/** In 64ths, rounded, for each byte from -offset on. */
private fun parts(constant: Int, offset: Int) = IntArray(256) { (constant * (it - offset) + 512) shr 10 }

private fun clamp(value: Int) = value.coerceIn(0, 255).toByte()

/** Throws Refused unless a plane of columns x rows samples lies in its buffer. */
private fun check(plane: Plane, columns: Int, rows: Int, sampleBytes: Int, name: String) {
    demand(plane.pixelStride in 1..MAX_STRIDE) { "$name: a pixel stride of ${plane.pixelStride}" }
    demand(plane.rowStride in 1..MAX_STRIDE) { "$name: a row stride of ${plane.rowStride}" }
    val row = (columns - 1) * plane.pixelStride + sampleBytes
    demand(plane.rowStride >= row) { "$name: a row has $row bytes, the row stride is ${plane.rowStride}" }
    val needed = (rows - 1) * plane.rowStride + row
    demand(plane.data.remaining() >= needed) { "$name takes $needed bytes, got ${plane.data.remaining()}" }
}

/** A frame in YUV 4:2:0 as RGB. [planes]: Y, U, V. Matrix and range are stated by the frame; neither has a default. */
fun rgbOfYuv(width: Int, height: Int, planes: List<Plane>, matrix: Matrix, fullRange: Boolean): Picture {
    checkSize(width, height)
    demand(planes.size == 3) { "a frame has the three planes Y, U and V, got ${planes.size}" }
    val halves = (width + 1) / 2 to (height + 1) / 2
    planes.forEachIndexed { i, plane ->
        val (columns, rows) = if (i == 0) width to height else halves
        check(plane, columns, rows, 1, "plane ${"YUV"[i]}")
    }
    val constants = CONSTANTS.getValue(matrix to fullRange)
    val luma = parts(constants[0], constants[5])
    val (vToRed, uToGreen, vToGreen, uToBlue) = (1..4).map { parts(constants[it], 128) }
    val rgb = ByteArray(3 * width * height)
    val rows = planes.map { ByteArray(rowBytes(it, width)) }
    var to = 0
    for (y in 0 until height) {
        planes.forEachIndexed { i, plane ->
            val line = if (i == 0) y else y shr 1
            val columns = if (i == 0) width else halves.first
            if (i == 0 || y and 1 == 0) copyRow(plane, line, columns, rows[i])
        }
        val (stepY, stepU, stepV) = planes.map { it.pixelStride.toInt() }
        for (x in 0 until width) {
            val light = luma[rows[0][x * stepY].toInt() and 0xff] + 32
            val u = rows[1][(x shr 1) * stepU].toInt() and 0xff
            val v = rows[2][(x shr 1) * stepV].toInt() and 0xff
            rgb[to++] = clamp((light + vToRed[v]) shr 6)
            rgb[to++] = clamp((light + uToGreen[u] + vToGreen[v]) shr 6)
            rgb[to++] = clamp((light + uToBlue[u]) shr 6)
        }
    }
    return Picture(width, height, rgb)
}

private fun rowBytes(plane: Plane, columns: Int) = ((columns - 1) * plane.pixelStride + 1).toInt()

private fun copyRow(plane: Plane, line: Int, columns: Int, into: ByteArray) {
    val source = plane.data.duplicate()
    source.position(plane.data.position() + (line * plane.rowStride).toInt())
    source.get(into, 0, rowBytes(plane, columns))
}

/** Three planes in one buffer without gaps, for [rgbOfYuv]. [layout]: nv21, nv12 or i420. */
fun planesOf(layout: String, buffer: ByteArray, width: Int, height: Int): List<Plane> {
    checkSize(width, height)
    val columns = (width + 1) / 2
    val samples = columns * ((height + 1) / 2)
    val luma = width * height
    demand(buffer.size >= luma + 2 * samples) { "$layout takes ${luma + 2 * samples} bytes, got ${buffer.size}" }
    fun part(from: Int, bytes: Int) = ByteBuffer.wrap(buffer, from, bytes).slice()
    fun apart(from: Int) = Plane(part(from, samples), columns.toLong(), 1)
    fun mixed(from: Int) = Plane(part(from, luma + 2 * samples - from), 2L * columns, 2)
    val first = Plane(part(0, luma), width.toLong(), 1)
    return when (layout) {
        "i420" -> listOf(first, apart(luma), apart(luma + samples))
        "nv12" -> listOf(first, mixed(luma), mixed(luma + 1))
        "nv21" -> listOf(first, mixed(luma + 1), mixed(luma))
        else -> throw Refused(Reason.CONTRACT, "the layout is nv21, nv12 or i420, got $layout")
    }
}

/** A frame of blue, green, red, alpha as RGB; alpha is ignored. [rowStride] in bytes. */
fun rgbOfBgra(width: Int, height: Int, data: ByteArray, rowStride: Long): Picture {
    checkSize(width, height)
    check(Plane(data, rowStride, 4), width, height, 4, "BGRA")
    val rgb = ByteArray(3 * width * height)
    var to = 0
    for (y in 0 until height) for (x in 0 until width) {
        val from = (y * rowStride).toInt() + 4 * x
        for (c in 2 downTo 0) rgb[to++] = data[from + c]
    }
    return Picture(width, height, rgb)
}

/** Left, top, right, bottom in pixels of the frame as it is stored; right and bottom are outside. */
class Crop(val left: Int, val top: Int, val right: Int, val bottom: Int)

/** The crop of a frame, turned clockwise by [rotation] degrees, then with left and right exchanged if [mirrored]. */
fun upright(frame: Pixels, crop: Crop? = null, rotation: Int = 0, mirrored: Boolean = false): Pixels {
    demand(rotation in setOf(0, 90, 180, 270)) { "the rotation is 0, 90, 180 or 270, got $rotation" }
    val (left, top) = (crop?.left ?: 0) to (crop?.top ?: 0)
    val (right, bottom) = (crop?.right ?: frame.width) to (crop?.bottom ?: frame.height)
    demand(left >= 0 && top >= 0 && right <= frame.width && bottom <= frame.height && left < right && top < bottom) {
        "the crop $left, $top, $right, $bottom is empty or leaves the frame of ${frame.width} x ${frame.height}"
    }
    if (rotation == 0 && !mirrored) return Cropped(frame, left, top, right - left, bottom - top)
    return Turned(Cropped(frame, left, top, right - left, bottom - top), rotation, mirrored)
}

private class Cropped(
    private val frame: Pixels, private val left: Int, private val top: Int, override val width: Int, override val height: Int,
) : Pixels {
    override fun read(y: Int, x: Int, count: Int, rgb: ByteArray) = frame.read(top + y, left + x, count, rgb)

    override fun readColumn(x: Int, y: Int, count: Int, rgb: ByteArray) = frame.readColumn(left + x, top + y, count, rgb)
}

/** Turned while it is read: a copy of a large photograph would not fit into the heap that phones give an app. */
private class Turned(private val source: Pixels, private val rotation: Int, private val mirrored: Boolean) : Pixels {
    private val aside = rotation % 180 != 0
    override val width = if (aside) source.height else source.width
    override val height = if (aside) source.width else source.height
    private val line = ByteArray(3 * width)

    override fun read(y: Int, x: Int, count: Int, rgb: ByteArray) {
        // which line of the source this row is, and whether it is read from its end
        val backwards = (rotation == 90 || rotation == 180) != mirrored
        val from = if (backwards) width - x - count else x
        when (rotation) {
            0 -> source.read(y, from, count, line)
            90 -> source.readColumn(y, from, count, line)
            180 -> source.read(height - 1 - y, from, count, line)
            else -> source.readColumn(height - 1 - y, from, count, line)
        }
        for (i in 0 until count) {
            val to = if (backwards) count - 1 - i else i
            line.copyInto(rgb, 3 * to, 3 * i, 3 * i + 3)
        }
    }
}

/** All pixels of a picture, for what needs them at once. */
fun Pixels.inMemory(): Picture {
    if (this is Picture) return this
    val rgb = ByteArray(3 * width * height)
    val row = ByteArray(3 * width)
    for (y in 0 until height) {
        read(y, 0, width, row)
        row.copyInto(rgb, 3 * width * y)
    }
    return Picture(width, height, rgb)
}
