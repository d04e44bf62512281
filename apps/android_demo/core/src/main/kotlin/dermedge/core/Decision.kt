// docs/decision.md (gate-2): class, uncertain, or another photograph.
package dermedge.core

import kotlin.math.abs

const val DECISION_VERSION = "gate-2"
private const val LEAST_SIDE = 5
private const val MOST_CELLS = 16
private const val SLACK = 0.02 // fp16 arithmetic keeps three digits

/** The checks in the order of their reasons: which side of the limit sends a picture back, and the largest limit. */
enum class Check(val sentBackIfLess: Boolean, val most: Int) {
    LIGHT(true, 255), CLIPPED(false, 1000), CONTRAST(true, 255), FINE(true, 9999), COARSE(true, 9999), BUSY(false, 9999),
    WARM(true, 1000), GREEN(false, 1000), SPOT(true, 255);

    /** As in a manifest. */
    val key = name.lowercase()
}

/** Thresholds in force for so many answers; null thresholds are not measured. */
class Points(val abstainThreshold: Double, val malignantThreshold: Double?, val temperature: Double = 1.0)

/** A manifest's `decision`. [byAnswers]: from how many answers on, ascending. */
class Decision(
    val version: String, val side: Int, val limits: Map<String, Int>, val points: Points,
    val byAnswers: List<Pair<Int, Points>> = emptyList(),
) {
    /** The thresholds when so many questions are answered. */
    fun inForce(answered: Int): Points = byAnswers.lastOrNull { (from, _) -> from <= answered }?.second ?: points
}

enum class OutcomeKind { RETAKE, UNCERTAIN, CLASS }

/** [code]: of the class, where the outcome is one. [failed]: the checks that send the picture back, first reason first. */
data class Outcome(val kind: OutcomeKind, val code: String?, val failed: List<Check>)

/** The nine whole numbers of a model's input of side x side x 3 bytes. */
fun measure(square: ByteArray, side: Int): Map<Check, Int> {
    whole(side, LEAST_SIDE, MAX_SIDE, "the side of the square")
    demand(square.size == side * side * 3) { "a square of $side pixels has ${side * side * 3} bytes, got ${square.size}" }
    val count = side * side
    val luma = IntArray(count)
    val histogram = IntArray(256)
    var warm = 0
    var green = 0
    for (i in 0 until count) {
        val r = square[3 * i].toInt() and 0xff
        val g = square[3 * i + 1].toInt() and 0xff
        val b = square[3 * i + 2].toInt() and 0xff
        luma[i] = (77 * r + 150 * g + 29 * b + 128) shr 8
        histogram[luma[i]] += 1
        if (r > 0 && r >= g && r >= b && 16 * (r - minOf(g, b)) >= r) warm += 1
        if (g > r + 8 && g > b + 8) green += 1
    }
    fun level(percent: Int): Int {
        var left = ((count - 1L) * percent / 100).toInt()
        return histogram.indexOfFirst { pixels -> left -= pixels; left < 0 }
    }
    fun share(pixels: Int) = (1000L * pixels / count).toInt()
    fun differences(step: Int, across: Boolean): Long {
        var sum = 0L
        val offset = if (across) step else step * side
        for (r in 0 until side - (if (across) 0 else step)) for (q in 0 until side - (if (across) step else 0)) {
            val difference = luma[r * side + q + offset] - luma[r * side + q]
            sum += difference.toLong() * difference
        }
        return sum
    }
    fun ratio(near: Long, far: Long) = minOf(9999L, 1000 * near / maxOf(far, 1)).toInt()
    val (across1, across2, across4) = listOf(1, 2, 4).map { differences(it, across = true) }
    val (down1, down2, down4) = listOf(1, 2, 4).map { differences(it, across = false) }
    return mapOf(
        Check.LIGHT to level(90),
        Check.CLIPPED to share((250..255).sumOf { histogram[it] }),
        Check.CONTRAST to level(95) - level(5),
        Check.FINE to minOf(ratio(across1, across2), ratio(down1, down2)),
        Check.COARSE to minOf(ratio(across1, across4), ratio(down1, down4)),
        Check.BUSY to ratio(across1 + down1, across2 + down2),
        Check.WARM to share(warm),
        Check.GREEN to share(green),
        Check.SPOT to spot(luma, side),
    )
}

/** How far the mean of a cell in the middle lies from what is usual along the border. */
private fun spot(luma: IntArray, side: Int): Int {
    val cells = minOf(MOST_CELLS, side)
    val starts = IntArray(cells + 1) { it * side / cells }
    val means = Array(cells) { i ->
        IntArray(cells) { j ->
            var sum = 0L
            for (r in starts[i] until starts[i + 1]) for (q in starts[j] until starts[j + 1]) sum += luma[r * side + q]
            (sum / ((starts[i + 1] - starts[i]) * (starts[j + 1] - starts[j]))).toInt()
        }
    }
    val edge = setOf(0, cells - 1)
    val border = (0 until cells).flatMap { i -> (0 until cells).filter { i in edge || it in edge }.map { means[i][it] } }.sorted()
    val usual = border[border.size / 2 - 1] // the lower median: their number is even
    val middle = cells / 4 until cells - cells / 4
    return middle.maxOf { i -> middle.maxOf { j -> abs(means[i][j] - usual) } }
}

/** Throws Refused for what is an error in the app rather than an outcome. */
fun checkDecision(side: Int, decision: Decision, points: Points, probabilities: DoubleArray, codes: List<String>) {
    demand(decision.version == DECISION_VERSION) { "the thresholds are of ${decision.version}, not of $DECISION_VERSION" }
    for (check in Check.values()) {
        val limit = decision.limits[check.key]
        demand(limit != null && limit in 0..check.most) { "the limit for ${check.key} is $limit" }
    }
    val unknown = decision.limits.keys - Check.values().map { it.key }.toSet()
    demand(unknown.isEmpty()) { "the thresholds have limits that nobody knows: $unknown" }
    demand(points.abstainThreshold in 0.0..1.0) { "abstain_threshold is a number from 0 to 1" } // false for NaN
    demand(side == decision.side) { "the limits hold for a side of ${decision.side}, not of $side" }
    demand(codes.size >= 2 && codes.toSet().size == codes.size) { "there are two classes at least" }
    checkProbabilities(probabilities, codes.size)
}

/** Throws Refused unless a model's answer is so many probabilities. */
fun checkProbabilities(probabilities: DoubleArray, classes: Int) {
    demand(probabilities.size == classes) { "${probabilities.size} probabilities for $classes classes" }
    val inside = probabilities.all { it >= -SLACK && it <= 1 + SLACK } // false for NaN
    demand(inside && abs(probabilities.sum() - 1) <= SLACK) { "what the model gave are no probabilities" }
}

/** The checks that send a picture back, in the order of their reasons. */
fun failedChecks(measured: Map<Check, Int>, limits: Map<String, Int>): List<Check> = Check.values().filter { check ->
    val (value, limit) = measured.getValue(check) to limits.getValue(check.key)
    if (check.sentBackIfLess) value < limit else value > limit
}

/** The outcome of the probabilities to be shown, with the thresholds in force. Call [checkDecision] first. */
fun decide(
    measured: Map<Check, Int>, limits: Map<String, Int>, points: Points, probabilities: DoubleArray, codes: List<String>,
): Outcome {
    val failed = failedChecks(measured, limits)
    if (failed.isNotEmpty()) return Outcome(OutcomeKind.RETAKE, null, failed)
    val best = largestOf(probabilities)
    if (probabilities[best] < points.abstainThreshold) return Outcome(OutcomeKind.UNCERTAIN, null, emptyList())
    return Outcome(OutcomeKind.CLASS, codes[best], emptyList())
}

/** The place of the largest number, the first of them. */
fun largestOf(numbers: DoubleArray): Int = numbers.indices.fold(0) { best, i -> if (numbers[i] > numbers[best]) i else best }
