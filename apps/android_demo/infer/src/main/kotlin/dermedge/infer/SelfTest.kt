package dermedge.infer

import dermedge.core.Pixels
import dermedge.core.Reason
import dermedge.core.Refused
import dermedge.core.SelfTestResult
import dermedge.core.Tested
import dermedge.core.Times
import dermedge.core.checkedSquare

private const val REPEATS = 10 // timed runs of each image

/** Runs the bundle's self-test. [decode]: a PNG's bytes to its pixels; [memoryBytes]: of the app, asked at the end. */
fun selfTest(model: Model, decode: (ByteArray) -> Pixels, memoryBytes: () -> Long): SelfTestResult {
    val tests = model.manifest.selfTest
    if (tests.isEmpty()) throw Refused(Reason.NO_SELF_TEST)
    val milliseconds = ArrayList<Double>()
    val rows = tests.map { test ->
        val square = checkedSquare(decode(model.bundle.testFile(test)), test, model.manifest.side)
        val answers = test.answers?.map { it.toFloat() }?.toFloatArray() ?: FloatArray(model.manifest.questions.sumOf { it.length })
        val obtained = (0..REPEATS).map {
            val begun = System.nanoTime()
            model.run(square, answers).probabilities.also { milliseconds += (System.nanoTime() - begun) / 1e6 }
        }
        Tested(test, obtained.last())
    }
    val times = Times(model.loadMilliseconds, milliseconds.first(), milliseconds.drop(1))
    return SelfTestResult(rows, times, memoryBytes(), "cpu")
}
