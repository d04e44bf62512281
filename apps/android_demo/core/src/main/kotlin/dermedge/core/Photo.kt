// What a photograph's file is, and how Android has to decode it for the bytes of docs/preprocess.md, Files and Colour.
package dermedge.core

import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.zip.CRC32

const val MAX_FILE_BYTES = 128L shl 20
private const val HALF_PIXELS = 128_000_000L // above MAX_PIXELS half the width and height, above this a quarter
private const val MOST_PIXELS = 256_000_000L
private const val MOST_SEGMENTS = 65_536
private const val PNG_SIGNATURE = -0x76afb1b8f2f5e5f6L // 89 50 4E 47 0D 0A 1A 0A
private const val PQ_NAME = "ITUR_2100_PQ_FULL"
private val HDR = setOf(16, 18) // transfer characteristics of ITU-T H.273: PQ and HLG
private val FRAMES = (0xC0..0xCF).toSet() - setOf(0xC4, 0xC8, 0xCC)
private val DECODED = setOf(0xC0, 0xC1, 0xC2) // baseline, extended, progressive
private val ALONE = setOf(0x01) + (0xD0..0xD7) // markers without a length

enum class PhotoKind { JPEG, PNG, WEBP }

/** [scale]: 1, 2 or 4. [orientation]: EXIF's, for a decoder that does not turn by itself. */
class PhotoPlan(val kind: PhotoKind, val scale: Int, val orientation: Int)

/**
 * How to decode a file, which is read from its position on. Throws Refused for what Android's decoder shows otherwise
 * than the contract, for what is too large, and for what is no photograph.
 */
fun planOf(file: ByteBuffer): PhotoPlan {
    val bytes = file.slice().order(ByteOrder.BIG_ENDIAN)
    if (bytes.remaining() > MAX_FILE_BYTES) throw Refused(Reason.TOO_MANY_BYTES, bytes.remaining())
    return try {
        when {
            bytes.remaining() < 16 -> throw Refused(Reason.UNKNOWN_KIND)
            bytes.getShort(0).toInt() and 0xffff == 0xFFD8 -> jpeg(bytes)
            bytes.getLong(0) == PNG_SIGNATURE -> png(bytes)
            text(bytes, 0) == "RIFF" && text(bytes, 8) == "WEBP" -> webp(bytes)
            text(bytes, 4) == "ftyp" -> throw Refused(Reason.PHONE_DECODES)
            else -> throw Refused(Reason.UNKNOWN_KIND)
        }
    } catch (_: IndexOutOfBoundsException) {
        throw Refused(Reason.DAMAGED)
    } catch (_: IllegalArgumentException) { // a length that leaves the file
        throw Refused(Reason.DAMAGED)
    }
}

/** The picture as its EXIF orientation, 1 to 8, says. */
fun oriented(picture: Pixels, orientation: Int): Pixels {
    val rotation = when (orientation) { 3, 4 -> 180; 5, 6 -> 90; 7, 8 -> 270; else -> 0 }
    return upright(picture, rotation = rotation, mirrored = orientation in setOf(2, 4, 5, 7))
}

private fun byte(bytes: ByteBuffer, at: Int) = bytes.get(at).toInt() and 0xff

private fun short(bytes: ByteBuffer, at: Int) = bytes.getShort(at).toInt() and 0xffff

private fun text(bytes: ByteBuffer, at: Int, letters: Int = 4) = String(CharArray(letters) { byte(bytes, at + it).toChar() })

private fun part(bytes: ByteBuffer, from: Int, length: Int): ByteBuffer {
    val part = bytes.duplicate()
    part.position(from)
    part.limit(from + length)
    return part.slice()
}

private fun scaleOf(width: Int, height: Int, most: Long): Int {
    val pixels = width.toLong() * height
    if (pixels == 0L) throw Refused(Reason.DAMAGED)
    if (pixels > most || maxOf(width, height) > MAX_LENGTH) throw Refused(Reason.TOO_MANY_PIXELS, width, height)
    return if (pixels <= MAX_PIXELS) 1 else if (pixels <= HALF_PIXELS) 2 else 4
}

private fun jpeg(bytes: ByteBuffer): PhotoPlan {
    var (at, scale, progressive) = Triple(2, 0, false)
    var exif = Exif.NOTHING
    val profile = ArrayList<ByteBuffer>()
    repeat(MOST_SEGMENTS) {
        while (byte(bytes, at) != 0xFF || byte(bytes, at + 1) in setOf(0, 0xFF)) at += 1 // what decoders pass over
        val marker = byte(bytes, at + 1)
        at += 2
        if (marker in ALONE) return@repeat
        val length = short(bytes, at)
        if (length < 2) throw Refused(Reason.DAMAGED)
        when {
            marker in FRAMES -> {
                if (marker !in DECODED || byte(bytes, at + 7) !in setOf(1, 3, 4)) throw Refused(Reason.UNKNOWN_KIND)
                if (byte(bytes, at + 2) != 8) throw Refused(Reason.DEEP, byte(bytes, at + 2))
                progressive = marker == 0xC2
                scale = scaleOf(short(bytes, at + 5), short(bytes, at + 3), if (progressive) MAX_PIXELS.toLong() else MOST_PIXELS)
            }
            marker == 0xE1 && length >= 16 && text(bytes, at + 2, 6) == "Exif\u0000\u0000" && exif === Exif.NOTHING ->
                exif = Exif.of(part(bytes, at + 8, length - 8))
            marker == 0xE2 && length >= 16 && text(bytes, at + 2, 12) == "ICC_PROFILE\u0000" -> profile += part(bytes, at + 16, length - 16)
            marker == 0xD9 -> throw Refused(Reason.DAMAGED)
            marker == 0xDA -> {
                if (scale == 0) throw Refused(Reason.DAMAGED)
                if (profile.isEmpty() && exif.otherColours) throw Refused(Reason.COLOUR_STATED, "EXIF")
                if (profile.isNotEmpty()) refuseHdr(profile.first())
                if (scale > 1) checkEnds(bytes, at + length) // whoever decodes it smaller fills what is missing with grey
                return PhotoPlan(PhotoKind.JPEG, scale, exif.orientation)
            }
        }
        at += length
    }
    throw Refused(Reason.DAMAGED)
}

/** Throws Refused unless the picture's data, from there on, reach the end marker. */
private fun checkEnds(bytes: ByteBuffer, from: Int) {
    for (at in from until bytes.limit() - 1) {
        if (bytes.get(at) == 0xFF.toByte() && bytes.get(at + 1) == 0xD9.toByte()) return
    }
    throw Refused(Reason.DAMAGED)
}

/** Throws Refused for an ICC profile whose `cicp` tag says PQ or HLG (ICC.1:2022, 9.2.17). */
private fun refuseHdr(profile: ByteBuffer) {
    if (profile.remaining() < 132) return
    for (i in 0 until minOf(profile.getInt(128), 100)) {
        val at = 132 + 12 * i
        if (at + 12 > profile.limit()) return
        val data = profile.getInt(at + 4)
        if (text(profile, at) == "cicp" && data in 0..profile.limit() - 12 && byte(profile, data + 9) in HDR) {
            throw Refused(Reason.COLOUR_STATED, "HDR")
        }
    }
}

private fun png(bytes: ByteBuffer): PhotoPlan {
    scaleOf(bytes.getInt(16), bytes.getInt(20), MAX_PIXELS.toLong())
    if (byte(bytes, 24) > 8) throw Refused(Reason.DEEP, byte(bytes, 24))
    val colours = LinkedHashMap<String, ByteBuffer>()
    var (at, exif, pixels) = Triple(8, Exif.NOTHING, false)
    while (at + 12 <= bytes.limit()) {
        val (length, name) = bytes.getInt(at) to text(bytes, at + 4)
        if (length < 0 || at + 12L + length > bytes.limit()) throw Refused(Reason.DAMAGED)
        val body = part(bytes, at + 8, length)
        if (name == "IDAT") pixels = true
        if (name == "eXIf" && whole(bytes, at, length)) exif = Exif.of(body)
        if (!pixels && name in setOf("cICP", "iCCP", "sRGB", "gAMA", "cHRM") && whole(bytes, at, length)) colours.putIfAbsent(name, body)
        if (name == "IEND") break
        at += 12 + length
    }
    val only = colours.keys
    val profile = colours["iCCP"]
    val unlike = when {
        "cICP" in only -> "cICP"
        profile != null && profile.remaining() > PQ_NAME.length && text(profile, 0, PQ_NAME.length) == PQ_NAME -> "HDR"
        profile != null && "sRGB" in only -> "iCCP, sRGB"
        profile == null && "sRGB" !in only && "gAMA" in only && "cHRM" !in only && near(colours.getValue("gAMA")) -> "gAMA"
        only.isEmpty() && exif.otherColours -> "EXIF"
        else -> null
    }
    if (unlike != null) throw Refused(Reason.COLOUR_STATED, unlike)
    return PhotoPlan(PhotoKind.PNG, 1, exif.orientation)
}

/** Whether a gAMA chunk is within 5 % of sRGB's, where Android takes it for a power. */
private fun near(gamma: ByteBuffer) = gamma.remaining() == 4 && gamma.getInt(0) in 43_183..47_726

private fun whole(bytes: ByteBuffer, at: Int, length: Int): Boolean {
    val sum = CRC32()
    val body = ByteArray(4 + length)
    part(bytes, at + 4, 4 + length).get(body)
    sum.update(body)
    return sum.value.toInt() == bytes.getInt(at + 8 + length)
}

private fun webp(bytes: ByteBuffer): PhotoPlan {
    val little = bytes.duplicate().order(ByteOrder.LITTLE_ENDIAN)
    var (at, exif, profile) = Triple(12, Exif.NOTHING, null as ByteBuffer?)
    while (at + 8 <= bytes.limit()) {
        val (length, name) = little.getInt(at + 4) to text(bytes, at)
        if (length < 0 || at + 8L + length > bytes.limit()) throw Refused(Reason.DAMAGED)
        val body = part(bytes, at + 8, length)
        if (name == "ICCP") profile = body
        if (name == "EXIF") exif = Exif.of(if (length > 6 && text(body, 0) == "Exif") part(body, 6, length - 6) else body)
        at += 8 + length + (length and 1)
    }
    if (profile == null && exif.otherColours) throw Refused(Reason.COLOUR_STATED, "EXIF")
    profile?.let(::refuseHdr)
    return PhotoPlan(PhotoKind.WEBP, 1, exif.orientation)
}
