package dermedge.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import kotlin.math.exp

/** Two classes with these logits' probabilities: z and -z, because their mean is 0. */
private fun of(z: Double) = doubleArrayOf(1 / (1 + exp(-2 * z)), 1 / (1 + exp(2 * z)))

private class Fake(private val mask: FloatArray? = null, private val say: () -> DoubleArray) : Predictor {
    var closed = false

    override fun run(square: ByteArray, given: FloatArray) = Answer(say(), mask)

    override fun close() {
        closed = true
    }
}

class AcceleratorTest {
    private val test = TestImage("t.png", "", "", of(0.5), of(0.5), null)
    private val prompts = listOf(Prompt(test, ByteArray(0), FloatArray(0)))

    private fun manifest(output: String = "float32", threshold: Double? = null) = Manifest(
        "net", emptyList(), 16, PREPROCESS_VERSION, threshold, emptyList(), emptyList(),
        FileEntry("net.tflite", "tflite", "", "float32", output, 1 / 256.0, 0, false, "", emptyList(), "fp32", null),
        emptyList(), null, "", "", false,
    )

    private fun refused(accelerated: Fake?, cpu: Fake = Fake { of(0.5) }, manifest: Manifest = manifest()): Reason =
        assertThrows(Refused::class.java) { agreeing(cpu, manifest, prompts) { accelerated } }.reason

    @Test
    fun `an accelerator that agrees is used, and left open`() {
        val accelerated = Fake { of(0.50009) } // a logit may be off by 0.0001
        assertSame(accelerated, agreeing(Fake { of(0.5) }, manifest(), prompts) { accelerated })
        assertFalse(accelerated.closed)
        agreeing(Fake { of(4.0) }, manifest(), prompts) { Fake { of(4.00039) } } // of the largest where that is above 1
    }

    @Test
    fun `one that answers otherwise is not, and closed`() {
        val accelerated = Fake { of(0.50011) }
        assertEquals(Reason.ACCELERATOR_DISAGREES, refused(accelerated))
        assertTrue(accelerated.closed)
        assertEquals(Reason.ACCELERATOR_DISAGREES, refused(Fake { of(4.00041) }, Fake { of(4.0) }))
        assertEquals(Reason.ACCELERATOR_DISAGREES, refused(Fake { doubleArrayOf(Double.NaN, 0.5) }))
        val words = assertThrows(Refused::class.java) { agreeing(Fake { of(0.0) }, manifest(), prompts) { Fake { of(0.1) } } }
        assertEquals(listOf<Any>("t.png", "5.0e-02"), words.details)
    }

    @Test
    fun `one that another image tells apart is not used`() {
        var asked = 0
        val late = Fake { of(if (++asked < 3) 0.5 else 0.6) }
        val error = assertThrows(Refused::class.java) { agreeing(Fake { of(0.5) }, manifest(), List(3) { prompts.single() }) { late } }
        assertEquals(Reason.ACCELERATOR_DISAGREES to true, error.reason to late.closed)
    }

    @Test
    fun `what throws is not used, and closed`() {
        val broken = listOf<() -> DoubleArray>(
            { error("the driver has crashed") }, { throw Refused(Reason.CONTRACT, "no probabilities") }, { throw UnsatisfiedLinkError("gone") },
        )
        for (say in broken) {
            val accelerated = Fake(say = say)
            assertEquals(Reason.ACCELERATOR_FAILED to true, refused(accelerated) to accelerated.closed)
        }
        val opening = assertThrows(Refused::class.java) {
            agreeing(Fake { of(0.5) }, manifest(), prompts) { throw NoClassDefFoundError("GpuDelegate") }
        }
        assertEquals(Reason.ACCELERATOR_FAILED to listOf<Any>("GpuDelegate"), opening.reason to opening.details)
    }

    @Test
    fun `none is not used, and without images none can be judged`() {
        assertEquals(Reason.NO_ACCELERATOR, refused(null))
        val blind = assertThrows(Refused::class.java) { agreeing(Fake { of(0.5) }, manifest(), emptyList()) { Fake { of(0.5) } } }
        assertEquals(Reason.NO_SELF_TEST, blind.reason)
    }

    @Test
    fun `probabilities in whole numbers may be a step apart`() {
        val (cpu, near, far) = listOf(128, 129, 130).map { n -> Fake { doubleArrayOf(n / 256.0, 1 - n / 256.0) } }
        agreeing(cpu, manifest("uint8"), prompts) { near }
        assertEquals(Reason.ACCELERATOR_DISAGREES, refused(far, cpu, manifest("uint8")))
    }

    @Test
    fun `masks have to agree as well`() {
        val mask = FloatArray(10_000) { if (it < 5000) 0.9f else 0.1f }
        fun moved(pixels: Int) = Fake(FloatArray(10_000) { if (it < 5000 + pixels) 0.9f else 0.1f }) { of(0.5) }
        val masked = manifest(threshold = 0.5)
        agreeing(Fake(mask) { of(0.5) }, masked, prompts) { moved(5) }
        assertEquals(Reason.ACCELERATOR_DISAGREES, refused(moved(20), Fake(mask) { of(0.5) }, masked))
        assertEquals(1.0, dice(FloatArray(4), FloatArray(4), 0.5))
    }
}
