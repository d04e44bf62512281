package dermedge.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

private val MODEL = "the model".toByteArray()
private val RUNTIME = AppRuntime("tflite", "2.16.1")

class BundleTest {
    private fun manifest(change: (MutableMap<String, Any?>) -> Unit = {}): Map<String, Any?> {
        val file = mutableMapOf<String, Any?>(
            "file" to "net-fp16.tflite", "format" to "tflite", "sha256" to sha256(MODEL), "bytes" to MODEL.size, "for" to "a test",
            "input" to mapOf("layout" to "NHWC", "dtype" to "float32"), "output" to mapOf("dtype" to "float32"), "answers" to false,
            "recipe" to "fp16", "audit" to auditOf("DEPTHWISE_CONV_2D"), "opens_from" to "LiteRT / TFLite 2.14", "parity" to null,
            "seen_right" to listOf(mapOf("runtime" to "android", "version" to "2.16.1", "processor" to "cortex-a76")),
            "seen_slow" to emptyList<Any>(),
        )
        val test = mapOf(
            "image" to "t.png", "sha256" to sha256(byteArrayOf(1)), "rgb_sha256" to sha256(ByteArray(16 * 16 * 3)),
            "reference" to listOf(0.1, 0.9), "expected" to mapOf("net-fp16.tflite" to listOf(0.25, 0.75)),
        )
        val labels = listOf(
            mapOf("code" to "A", "name" to "first", "malignant" to true), mapOf("code" to "B", "name" to "second", "malignant" to null),
        )
        return mutableMapOf<String, Any?>(
            "schema" to SCHEMA, "model" to "net", "family" to "net", "checkpoint_sha256" to sha256(MODEL), "parameters" to 1, "macs" to 1,
            "reference" to mapOf("kind" to "checkpoint", "file" to null, "sha256" to sha256(MODEL)), "labels" to labels, "input" to input(16),
            "preprocess" to preprocess("area-2"), "questions" to emptyList<Any>(), "files" to listOf(file), "self_test" to listOf(test),
            "output" to mapOf("name" to "probabilities", "meaning" to "softmax", "temperature" to 1.0, "abstain_threshold" to null),
            "training" to mapOf("data" to emptyList<Any>(), "attribution" to "nobody's"), "intended_use" to "research",
            "versions" to emptyMap<String, Any?>(),
        ).also(change)
    }

    private fun input(side: Any) = mapOf("name" to "image", "side" to side, "colour" to "RGB", "range" to listOf(0, 255))

    private fun preprocess(version: String) = mapOf("version" to version, "crop" to "centred square", "resize" to "by area")

    private fun auditOf(operator: String) = mapOf(
        "operators" to mapOf(operator to 3), "largest_rank" to 4, "layout_operators" to 0, "layout_bytes" to 0, "macs" to 1, "macs_8bit" to 0,
        "peak_activation_bytes" to 1, "warnings" to emptyList<Any>(),
    )

    @Suppress("UNCHECKED_CAST")
    private fun withFile(key: String, value: Any?) = manifest {
        it["files"] = listOf((it["files"] as List<Map<String, Any?>>).single() + (key to value))
    }

    private fun opened(manifest: Map<String, Any?> = manifest(), model: ByteArray? = MODEL, runtime: AppRuntime = RUNTIME): Bundle {
        val files = mapOf("manifest.json" to writeJson(manifest).toByteArray(), "net-fp16.tflite" to model, "t.png" to byteArrayOf(1))
        return openBundle({ files[it] }, runtime)
    }

    private fun reasonOf(action: () -> Unit): Reason = assertThrows(Refused::class.java, action).reason

    @Test
    fun `everything is read from the manifest`() {
        val bundle = opened()
        assertEquals(listOf("A", "B") to 16, bundle.manifest.codes to bundle.manifest.side)
        assertEquals(listOf(true, null), bundle.manifest.labels.map { it.malignant })
        assertEquals(0.75, bundle.manifest.selfTest.single().expected[1])
        assertTrue(bundle.testFile(bundle.manifest.selfTest.single()).contentEquals(byteArrayOf(1)))
        assertTrue(RUNTIME.isSeenRight(bundle.manifest.file))
        assertFalse(AppRuntime("tflite", "2.14.0").isSeenRight(bundle.manifest.file))
        assertFalse(AppRuntime("litert", "2.16.1").isSeenRight(bundle.manifest.file))
    }

    @Test
    fun `a manifest of another version is refused by name`() {
        val refused = assertThrows(Refused::class.java) { opened(manifest { it["schema"] = "dermedge/manifest/9" }) }
        assertEquals(Reason.OTHER_SCHEMA to listOf<Any>("dermedge/manifest/9", SCHEMA), refused.reason to refused.details)
        assertEquals(Reason.OTHER_PREPROCESSING, reasonOf { opened(manifest { it["preprocess"] = preprocess("area-9") }) })
    }

    @Test
    fun `a manifest that does not fit is refused with the place`() {
        val refused = assertThrows(Refused::class.java) { opened(manifest { it["input"] = input("16") }) }
        assertEquals(Reason.BAD_MANIFEST, refused.reason)
        assertTrue(refused.details.single().toString().startsWith("input/side"))
        assertEquals(Reason.BAD_MANIFEST, reasonOf { opened(manifest { it.remove("labels") }) })
        assertEquals(Reason.BAD_MANIFEST, reasonOf { opened(withFile("file", "../other.tflite")) })
        assertEquals(Reason.BAD_MANIFEST, reasonOf { opened(withFile("answers", true)) })
    }

    @Test
    fun `a file that is missing or another one is refused`() {
        assertEquals(Reason.NO_MANIFEST, reasonOf { openBundle({ null }, RUNTIME) })
        assertEquals(Reason.MISSING, reasonOf { opened(model = null) })
        assertEquals(Reason.OTHER_BYTES, reasonOf { opened(model = "another".toByteArray()) })
        assertEquals(Reason.NO_FILE, reasonOf { opened(withFile("format", "mlpackage")) })
    }

    @Test
    fun `a file that is too new for the runtime is refused`() {
        opened(withFile("opens_from", "LiteRT / TFLite 2.16"))
        assertEquals(Reason.NEWER_FILE, reasonOf { opened(withFile("opens_from", "LiteRT / TFLite 2.17")) })
        assertEquals(Reason.NEWER_FILE, reasonOf { opened(withFile("opens_from", "something else")) })
        opened(withFile("opens_from", "LiteRT / TFLite 2.17"), runtime = AppRuntime("litert", "1.4.0"))
        assertEquals(Reason.NEWER_FILE, reasonOf { opened(runtime = AppRuntime("litert", "9.0.0")) })
        assertEquals(Reason.HALF_DEPTHWISE, reasonOf { opened(runtime = AppRuntime("litert", "1.2.0")) })
        opened(withFile("audit", auditOf("CONV_2D")), runtime = AppRuntime("litert", "1.2.0"))
    }

    @Test
    fun `questions become the vector in their places`() {
        val question = mapOf(
            "id" to "itches", "text" to mapOf("en" to "Itches?"), "kind" to "yes_no", "choices" to emptyList<Any>(), "unit" to null,
            "min" to null, "max" to null, "knots" to emptyList<Any>(), "offset" to 0, "length" to 2,
        )
        val asked = withFile("answers", true).toMutableMap().also { it["questions"] = listOf(question) }
        assertEquals(listOf("itches"), opened(asked).manifest.questions.map { it.id })
        asked["questions"] = listOf(question + ("offset" to 1))
        assertEquals(Reason.BAD_MANIFEST, reasonOf { opened(asked) })
        asked["questions"] = listOf(question + ("length" to 3))
        assertEquals(Reason.BAD_MANIFEST, reasonOf { opened(asked) })
    }

    @Test
    fun `an answer is wrong where the float model was sure of another class`() {
        val test = opened().manifest.selfTest.single() // it says 0.1 and 0.9
        assertFalse(Tested(test, doubleArrayOf(0.3, 0.7)).wrong)
        assertTrue(Tested(test, doubleArrayOf(0.7, 0.3)).wrong)
        assertTrue(Tested(test, doubleArrayOf(Double.NaN, 0.3)).wrong)
        assertEquals(0.05, Tested(test, doubleArrayOf(0.3, 0.7)).delta, 1e-12)
        val doubtful = TestImage("t", "", "", doubleArrayOf(0.45, 0.55), test.expected, null)
        assertFalse(Tested(doubtful, doubleArrayOf(0.7, 0.3)).wrong)
    }

    @Test
    fun `other pixels than the maker's are refused`() {
        val test = opened().manifest.selfTest.single()
        assertEquals(768, checkedSquare(Picture(16, 16, ByteArray(768)), test, 16).size)
        assertEquals(Reason.OTHER_PIXELS, reasonOf { checkedSquare(Picture(16, 16, ByteArray(768) { 1 }), test, 16) })
    }

    @Test
    fun `the report is sealed and says what was computed`() {
        val bundle = opened()
        val row = Tested(bundle.manifest.selfTest.single(), doubleArrayOf(0.3, 0.7))
        val times = Times(12.5, 3.0, (10 downTo 1).map { it.toDouble() })
        val result = SelfTestResult(listOf(row), times, null, "cpu")
        val sealed = parseJson(deviceReport(bundle.manifest.file, result, Device("Phone", "Android 15"), RUNTIME)) as Map<*, *>
        val body = sealed["body"] as String
        assertEquals(sha256(body.toByteArray()), sealed["sha256"])
        val report = parseJson(body) as Map<*, *>
        assertTrue("memory_bytes" in report && report["memory_bytes"] == null) // the system did not say
        assertEquals(mapOf("library" to "tflite", "version" to "2.16.1", "accelerator" to "cpu"), report["runtime"])
        assertEquals(
            mapOf("load" to 12.5, "first" to 3.0, "median" to 6.0, "p90" to 10.0, "runs" to 10L), report["milliseconds"],
        )
    }
}
