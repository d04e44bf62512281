// The self-test that the manifest brings along, judged.
package dermedge.core

import kotlin.math.abs

private const val LEAD = 0.2 // between the float model's first two probabilities: it is not in doubt

/** One image: what the file gave here. [delta]: the largest difference of a probability. */
class Tested(val test: TestImage, val obtained: DoubleArray) {
    val delta = obtained.indices.maxOf { abs(obtained[it] - test.expected[it]) } // NaN stays NaN

    /** No numbers, or another class than the float model's where that was sure. */
    val wrong: Boolean
        get() {
            if (obtained.any { !it.isFinite() }) return true
            val (second, first) = test.reference.sorted().takeLast(2)
            return first - second > LEAD && largestOf(obtained) != largestOf(test.reference)
        }
}

/** Milliseconds: loading the file, its first run, and the others. */
class Times(val load: Double, val first: Double, val others: List<Double>) {
    val median get() = at(0.5)
    val p90 get() = at(0.9)

    private fun at(share: Double): Double = others.sorted().let { it[minOf(it.size - 1, (it.size * share).toInt())] }
}

/** All images of a self-test on a device. [memoryBytes]: of the app while it ran; null where the system does not say. */
class SelfTestResult(val rows: List<Tested>, val times: Times, val memoryBytes: Long?, val accelerator: String) {
    val failed get() = rows.filter { it.wrong }.map { it.test.image }
    val delta get() = rows.maxOf { it.delta }
}

/**
 * The square of a self-test image that a decoder gave, if it is the one that the model's maker saw.
 * Throws Refused otherwise: then no answer would say anything about the runtime.
 */
fun checkedSquare(picture: Pixels, test: TestImage, side: Int): ByteArray {
    val square = picture.inMemory().rgb
    if (picture.width != side || picture.height != side || sha256(square) != test.rgbSha256) {
        throw Refused(Reason.OTHER_PIXELS, test.image)
    }
    return square
}
