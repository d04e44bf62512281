package dermedge.app

import android.annotation.SuppressLint
import android.app.Activity
import android.content.Context
import android.graphics.ImageFormat
import android.hardware.DataSpace
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.hardware.camera2.CaptureRequest
import android.media.Image
import android.media.ImageReader
import android.os.Build
import android.os.Handler
import android.os.HandlerThread
import android.util.Size
import android.view.Surface
import dermedge.core.Crop
import dermedge.core.Matrix
import dermedge.core.Pixels
import dermedge.core.Plane
import dermedge.core.Reason
import dermedge.core.Refused
import dermedge.core.rgbOfYuv
import dermedge.core.upright

private const val LEAST_SHORTER = 720 // pixels: enough for a square of 256 to be a mean of several
private const val BUFFERS = 3

/**
 * Frames of the camera behind (or of another, where there is none), upright in RGB, to [frame] on a thread of their own.
 * [fault]: null where there is no camera, else the system's words.
 */
class CameraFeed(
    private val activity: Activity, private val side: Int, private val frame: (Pixels) -> Unit, private val fault: (String?) -> Unit,
) : AutoCloseable {
    private val manager = activity.getSystemService(Context.CAMERA_SERVICE) as CameraManager
    private val thread = HandlerThread("camera").apply { start() }
    private val handler = Handler(thread.looper)
    private val id: String? = chosen()
    private val facts: CameraCharacteristics? = id?.let(manager::getCameraCharacteristics)
    private var device: CameraDevice? = null
    private var session: CameraCaptureSession? = null
    private var reader: ImageReader? = null
    @Volatile
    var torch = false
        private set
    private var closed = false
    val hasTorch = facts?.get(CameraCharacteristics.FLASH_INFO_AVAILABLE) == true

    private fun chosen(): String? = try {
        val ids = manager.cameraIdList
        ids.firstOrNull { manager.getCameraCharacteristics(it).get(CameraCharacteristics.LENS_FACING) == CameraCharacteristics.LENS_FACING_BACK }
            ?: ids.firstOrNull()
    } catch (_: CameraAccessException) {
        null
    }

    @SuppressLint("MissingPermission") // whoever starts it has asked
    fun start() {
        val name = id ?: return fault(null)
        try {
            val size = sizeOf(facts!!)
            reader = ImageReader.newInstance(size.width, size.height, ImageFormat.YUV_420_888, BUFFERS).apply {
                setOnImageAvailableListener({ source -> source.acquireLatestImage()?.use(::pass) }, handler)
            }
            manager.openCamera(name, Opened(), handler)
        } catch (error: CameraAccessException) {
            fault(error.message.orEmpty())
        } catch (error: SecurityException) {
            fault(error.message.orEmpty())
        }
    }

    /** The smallest frames that are large enough, else the largest. */
    private fun sizeOf(facts: CameraCharacteristics): Size {
        val sizes = facts.get(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP)?.getOutputSizes(ImageFormat.YUV_420_888).orEmpty()
        val (enough, less) = sizes.partition { minOf(it.width, it.height) >= maxOf(LEAST_SHORTER, side) }
        return enough.minByOrNull { it.width * it.height } ?: less.maxByOrNull { it.width * it.height } ?: Size(1280, 720)
    }

    internal fun pass(image: Image) {
        try {
            val planes = image.planes.map { Plane(it.buffer, it.rowStride.toLong(), it.pixelStride.toLong()) }
            val (matrix, fullRange) = stated(image)
            val picture = rgbOfYuv(image.width, image.height, planes, matrix, fullRange)
            val crop = image.cropRect.let { Crop(it.left, it.top, it.right, it.bottom) }
            frame(upright(picture, crop, rotation()))
        } catch (refused: Refused) {
            fault(refused.details.joinToString(" "))
        }
    }

    /** Matrix and range; JFIF's unless the frame says otherwise, which it can from API 33 on. */
    private fun stated(image: Image): Pair<Matrix, Boolean> {
        if (Build.VERSION.SDK_INT < Build.VERSION_CODES.TIRAMISU || image.dataSpace == DataSpace.DATASPACE_UNKNOWN) return Matrix.BT601 to true
        val matrix = when (val standard = DataSpace.getStandard(image.dataSpace)) {
            DataSpace.STANDARD_BT709 -> Matrix.BT709
            DataSpace.STANDARD_BT601_625, DataSpace.STANDARD_BT601_525, DataSpace.STANDARD_UNSPECIFIED -> Matrix.BT601
            else -> throw Refused(Reason.CONTRACT, "camera frames of the standard $standard")
        }
        return matrix to (DataSpace.getRange(image.dataSpace) != DataSpace.RANGE_LIMITED)
    }

    /** Degrees clockwise from the sensor to the screen, as Camera2 defines them. */
    private fun rotation(): Int {
        val screen = when (@Suppress("DEPRECATION") activity.windowManager.defaultDisplay.rotation) {
            Surface.ROTATION_90 -> 90
            Surface.ROTATION_180 -> 180
            Surface.ROTATION_270 -> 270
            else -> 0
        }
        val sensor = facts?.get(CameraCharacteristics.SENSOR_ORIENTATION) ?: 0
        val front = facts?.get(CameraCharacteristics.LENS_FACING) == CameraCharacteristics.LENS_FACING_FRONT
        return (if (front) sensor + screen else sensor - screen + 360) % 360
    }

    fun toggleTorch() {
        torch = !torch
        handler.post { repeatRequest() }
    }

    private fun repeatRequest() {
        val (camera, running, surface) = Triple(device ?: return, session ?: return, reader?.surface ?: return)
        try {
            val request = camera.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW).apply {
                addTarget(surface)
                set(CaptureRequest.CONTROL_AF_MODE, CaptureRequest.CONTROL_AF_MODE_CONTINUOUS_PICTURE)
                set(CaptureRequest.FLASH_MODE, if (torch) CaptureRequest.FLASH_MODE_TORCH else CaptureRequest.FLASH_MODE_OFF)
            }
            running.setRepeatingRequest(request.build(), null, handler)
        } catch (error: CameraAccessException) {
            fault(error.message.orEmpty())
        } catch (error: IllegalStateException) { // closed meanwhile
            fault(error.message.orEmpty())
        }
    }

    private inner class Opened : CameraDevice.StateCallback() {
        override fun onOpened(camera: CameraDevice) {
            if (closed) return camera.close()
            device = camera
            try {
                @Suppress("DEPRECATION")
                camera.createCaptureSession(listOf(reader!!.surface), Started(), handler)
            } catch (error: CameraAccessException) {
                fault(error.message.orEmpty())
            }
        }

        override fun onDisconnected(camera: CameraDevice) {
            camera.close()
            fault("disconnected")
        }

        override fun onError(camera: CameraDevice, error: Int) {
            camera.close()
            fault("error $error")
        }
    }

    private inner class Started : CameraCaptureSession.StateCallback() {
        override fun onConfigured(configured: CameraCaptureSession) {
            session = configured
            repeatRequest()
        }

        override fun onConfigureFailed(configured: CameraCaptureSession) = fault("no session")
    }

    override fun close() {
        handler.post {
            closed = true
            session?.close()
            device?.close()
            reader?.close()
            thread.quitSafely()
        }
    }
}
