package dermedge.app

import android.graphics.ImageFormat
import android.media.Image
import java.io.File
import java.nio.ByteBuffer

/** A plane in the bytes of a file. */
class StoredPlane(private val bytes: ByteArray, private val rows: Int, private val pixels: Int) : Image.Plane() {
    override fun getRowStride() = rows

    override fun getPixelStride() = pixels

    override fun getBuffer(): ByteBuffer = ByteBuffer.wrap(bytes)
}

/** A camera frame as Camera2 hands it over, of numbers that Python wrote: width, height, data space, and of each plane its strides. */
class Frame(private val facts: Map<*, *>, folder: File) : Image() {
    private val planes = (facts["planes"] as List<*>).map {
        val plane = it as Map<*, *>
        StoredPlane(File(folder, plane["file"] as String).readBytes(), plane.int("row_stride"), plane.int("pixel_stride"))
    }

    init {
        mIsImageValid = true
        setDataSpace(facts.int("data_space"))
    }

    override fun getFormat() = ImageFormat.YUV_420_888

    override fun getWidth() = facts.int("width")

    override fun getHeight() = facts.int("height")

    override fun getTimestamp() = 0L

    override fun getTransform() = 0

    override fun getScalingMode() = 0

    override fun getPlanes(): Array<Plane> = planes.toTypedArray()

    override fun close() = Unit
}

fun Map<*, *>.int(name: String) = (this[name] as Long).toInt()
