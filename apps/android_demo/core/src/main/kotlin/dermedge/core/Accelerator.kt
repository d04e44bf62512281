// An accelerator of the phone is used only where it answers as the CPU does.
package dermedge.core

import java.util.Locale
import kotlin.math.abs
import kotlin.math.ln

private const val MOST_LOGIT_DIFFERENCE = 1e-4 // the gate of fp32 files in edge/recipes.py
private const val LEAST_DICE = 0.999 // of masks, also there
private const val FLOOR = 1e-4 // below, a probability tells nothing of its logit; as edge/metrics/statistics.py

/** What the file says of a square. [mask]: side x side, 0..1, or null. */
class Answer(val probabilities: DoubleArray, val mask: FloatArray?)

/** The model's file on a part of the phone. For one thread at a time. */
interface Predictor : AutoCloseable {
    /** [square]: side x side x 3 bytes; [given]: the vector of answers. Throws Refused where no probabilities come out. */
    fun run(square: ByteArray, given: FloatArray): Answer
}

/** A self-test image as the file takes it. */
class Prompt(val test: TestImage, val square: ByteArray, val given: FloatArray)

/**
 * The file on an accelerator, which [open] gives or null where the phone has none, once it has answered all [prompts] as
 * [cpu] does. Otherwise throws Refused, with nothing of the accelerator left open. Also what its library throws, which
 * may be missing or of another phone, is such an answer.
 */
fun <P : Predictor> agreeing(cpu: Predictor, manifest: Manifest, prompts: List<Prompt>, open: () -> P?): P {
    if (prompts.isEmpty()) throw Refused(Reason.NO_SELF_TEST)
    val accelerated = attempted(open) ?: throw Refused(Reason.NO_ACCELERATOR)
    var agrees = false
    try {
        for (prompt in prompts) {
            val answer = attempted { accelerated.run(prompt.square, prompt.given) }
            checkAgrees(manifest, prompt, cpu.run(prompt.square, prompt.given), answer)
        }
        agrees = true
    } finally {
        if (!agrees) accelerated.close()
    }
    return accelerated
}

private fun <T> attempted(action: () -> T): T = try {
    action()
} catch (refused: Refused) { // no probabilities, or a file that it does not take
    throw Refused(Reason.ACCELERATOR_FAILED, refused.message.orEmpty())
} catch (error: RuntimeException) {
    throw Refused(Reason.ACCELERATOR_FAILED, error.message.orEmpty())
} catch (error: LinkageError) { // its library is not there
    throw Refused(Reason.ACCELERATOR_FAILED, error.message.orEmpty())
}

private fun checkAgrees(manifest: Manifest, prompt: Prompt, right: Answer, answer: Answer) {
    val delta = right.probabilities.indices.maxOf { abs(right.probabilities[it] - answer.probabilities[it]) }
    val file = manifest.file
    val near = if (file.output == "uint8") {
        delta <= file.scale * (1 + 1e-9) // a step of what the file writes
    } else {
        logitDifference(right.probabilities, answer.probabilities) <= MOST_LOGIT_DIFFERENCE // false for NaN
    }
    val threshold = manifest.maskThreshold
    val alike = threshold == null || dice(right.mask!!, answer.mask!!, threshold) >= LEAST_DICE
    if (!near || !alike) throw Refused(Reason.ACCELERATOR_DISAGREES, prompt.test.image, String.format(Locale.ROOT, "%.1e", delta))
}

/** The largest difference of a logit, in units of the largest [right] one where that is above 1. */
internal fun logitDifference(right: DoubleArray, other: DoubleArray): Double {
    val (logits, others) = logitsOf(right) to logitsOf(other)
    return logits.indices.maxOf { abs(logits[it] - others[it]) } / maxOf(1.0, logits.maxOf { abs(it) })
}

/** All that probabilities tell of logits: their logarithms, with the mean 0. */
private fun logitsOf(probabilities: DoubleArray): List<Double> {
    val logarithms = probabilities.map { if (it.isNaN()) it else ln(maxOf(it, FLOOR)) }
    return logarithms.map { it - logarithms.average() }
}

/** 2 |a and b| / (|a| + |b|) of what reaches the threshold, 0..1; two empty masks are equal: 1. */
internal fun dice(right: FloatArray, other: FloatArray, threshold: Double): Double {
    var (both, all) = 0 to 0
    for (i in right.indices) {
        val (a, b) = (right[i] >= threshold) to (other[i] >= threshold)
        if (a && b) both += 2
        if (a) all += 1
        if (b) all += 1
    }
    return if (all == 0) 1.0 else both.toDouble() / all
}
