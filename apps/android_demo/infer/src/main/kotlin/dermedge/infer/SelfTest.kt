package dermedge.infer

import dermedge.core.Pixels
import dermedge.core.Prompt
import dermedge.core.Reason
import dermedge.core.Refused
import dermedge.core.SelfTestResult
import dermedge.core.Tested
import dermedge.core.Times
import dermedge.core.checkedSquare

private const val REPEATS = 10 // timed runs of each image

/** The self-test images that the bundle brings along. [decode]: a PNG's bytes to its pixels. */
fun prompts(model: Model, decode: (ByteArray) -> Pixels): List<Prompt> = model.manifest.selfTest.map { test ->
    val square = checkedSquare(decode(model.bundle.testFile(test)), test, model.manifest.side)
    val given = test.answers?.map { it.toFloat() }?.toFloatArray() ?: FloatArray(model.manifest.questions.sumOf { it.length })
    Prompt(test, square, given)
}

/** Runs the bundle's self-test. [memoryBytes]: of the app, asked at the end; null where the system does not say. */
fun selfTest(model: Model, prompts: List<Prompt>, memoryBytes: () -> Long?): SelfTestResult {
    if (prompts.isEmpty()) throw Refused(Reason.NO_SELF_TEST)
    val milliseconds = ArrayList<Double>()
    val rows = prompts.map { prompt ->
        val obtained = (0..REPEATS).map {
            val begun = System.nanoTime()
            model.run(prompt.square, prompt.given).probabilities.also { milliseconds += (System.nanoTime() - begun) / 1e6 }
        }
        Tested(prompt.test, obtained.last())
    }
    val times = Times(model.loadMilliseconds, milliseconds.first(), milliseconds.drop(1))
    return SelfTestResult(rows, times, memoryBytes(), model.accelerator)
}
