package dermedge.app

import android.content.ContentResolver
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.ColorSpace
import android.graphics.ImageDecoder
import android.net.Uri
import dermedge.core.MAX_FILE_BYTES
import dermedge.core.PhotoKind
import dermedge.core.PhotoPlan
import dermedge.core.Pixels
import dermedge.core.Reason
import dermedge.core.Refused
import dermedge.core.checkSize
import dermedge.core.oriented
import dermedge.core.planOf
import java.io.File
import java.io.IOException
import java.io.InputStream
import java.io.RandomAccessFile
import java.nio.ByteBuffer
import java.nio.channels.FileChannel

private val SRGB = ColorSpace.get(ColorSpace.Named.SRGB)
private const val CHUNK_BYTES = 1 shl 16

/**
 * A photograph that another app hands over, upright in sRGB. Throws Refused.
 *
 * Its bytes go to a file in [cache] that is mapped, and deleted at once: a heap of 256 MB holds no 100 MB of them.
 */
fun readPhoto(resolver: ContentResolver, uri: Uri, cache: File): Pixels {
    val copy = File.createTempFile("photo", null, cache)
    try {
        val stream = try {
            resolver.openInputStream(uri)
        } catch (_: IOException) {
            null
        } catch (_: SecurityException) { // the other app has taken its permission back
            null
        }
        (stream ?: throw Refused(Reason.NOT_A_PHOTOGRAPH)).use { copied(it, copy) }
        val mapped = RandomAccessFile(copy, "r").use { it.channel.map(FileChannel.MapMode.READ_ONLY, 0, it.length()) }
        return decoded(mapped)
    } finally {
        copy.delete()
    }
}

private fun copied(source: InputStream, target: File) {
    val chunk = ByteArray(CHUNK_BYTES)
    var total = 0L
    target.outputStream().use { output ->
        while (true) {
            val count = source.read(chunk)
            if (count < 0) return
            total += count
            if (total > MAX_FILE_BYTES) throw Refused(Reason.TOO_MANY_BYTES, total)
            output.write(chunk, 0, count)
        }
    }
}

/** The upright picture in a file's bytes. Throws Refused. */
fun decoded(file: ByteBuffer): Pixels {
    val plan = planOf(file)
    val bitmap = if (plan.scale > 1) smaller(file, plan) else whole(file)
    val stored = BitmapPixels(bitmap)
    val turnedAlready = plan.scale == 1 && plan.kind != PhotoKind.PNG // ImageDecoder turns JPEG and WebP alone
    return if (turnedAlready) stored else oriented(stored, plan.orientation)
}

/** By ImageDecoder, which refuses what is cut off; BitmapFactory would fill it with grey. */
private fun whole(file: ByteBuffer): Bitmap = try {
    ImageDecoder.decodeBitmap(ImageDecoder.createSource(file.slice())) { decoder, info, _ ->
        checkSize(info.size.width, info.size.height)
        decoder.allocator = ImageDecoder.ALLOCATOR_SOFTWARE
        decoder.isUnpremultipliedRequired = true // so that what is translucent keeps its colours
        decoder.setTargetColorSpace(SRGB)
    }
} catch (_: IOException) {
    throw Refused(Reason.DAMAGED)
}

/** By libjpeg's own scaling, which ImageDecoder does not promise. The plan has looked whether the file is whole. */
private fun smaller(file: ByteBuffer, plan: PhotoPlan): Bitmap {
    val options = BitmapFactory.Options().apply {
        inSampleSize = plan.scale
        inPreferredColorSpace = SRGB
        inPreferredConfig = Bitmap.Config.ARGB_8888
    }
    return BitmapFactory.decodeStream(Bytes(file.slice()), null, options) ?: throw Refused(Reason.DAMAGED)
}

private class Bytes(private val buffer: ByteBuffer) : InputStream() {
    override fun read(): Int = if (buffer.hasRemaining()) buffer.get().toInt() and 0xff else -1

    override fun read(into: ByteArray, offset: Int, length: Int): Int {
        if (!buffer.hasRemaining()) return if (length == 0) 0 else -1
        return minOf(length, buffer.remaining()).also { buffer.get(into, offset, it) }
    }
}

/** A bitmap's pixels, laid over white where they are translucent. */
class BitmapPixels(private val bitmap: Bitmap) : Pixels {
    override val width = bitmap.width
    override val height = bitmap.height
    private val line = IntArray(maxOf(width, height))

    override fun read(y: Int, x: Int, count: Int, rgb: ByteArray) {
        bitmap.getPixels(line, 0, count, x, y, count, 1)
        overWhite(count, rgb)
    }

    override fun readColumn(x: Int, y: Int, count: Int, rgb: ByteArray) {
        bitmap.getPixels(line, 0, 1, x, y, 1, count)
        overWhite(count, rgb)
    }

    private fun overWhite(count: Int, rgb: ByteArray) {
        for (i in 0 until count) {
            val colour = line[i]
            val alpha = colour ushr 24
            for (c in 0..2) {
                val value = (colour shr (16 - 8 * c)) and 0xff
                val shown = if (alpha == 255) value else (value * alpha + 255 * (255 - alpha) + 127) / 255
                rgb[3 * i + c] = shown.toByte()
            }
        }
    }
}

/** A square of side x side x 3 bytes as a bitmap; where [mask] reaches [threshold], blue. */
fun bitmapOf(square: ByteArray, side: Int, mask: FloatArray?, threshold: Double): Bitmap {
    val colours = IntArray(side * side) { i ->
        val (r, g) = (square[3 * i].toInt() and 0xff) to (square[3 * i + 1].toInt() and 0xff)
        val b = if (mask != null && mask[i] >= threshold) 255 else square[3 * i + 2].toInt() and 0xff
        (255 shl 24) or (r shl 16) or (g shl 8) or b
    }
    return Bitmap.createBitmap(colours, side, side, Bitmap.Config.ARGB_8888)
}
