// docs/bundle.md: the model that an app carries, checked before it is opened.
package dermedge.core

import java.security.MessageDigest

/** What lies in the app's model folder: the bytes of a file, or null where it is not there. */
fun interface BundleFiles {
    fun read(name: String): ByteArray?
}

/** The TensorFlow Lite or LiteRT that an app carries: `tflite` or `litert`, and its version, as 2.16.1. */
class AppRuntime(val library: String, val version: String) {
    // LiteRT 1 went on from TFLite 2.17, LiteRT 2 came after 2.20; what is newer in one of them is not counted, so that
    // a file is refused rather than promised. As edge/bundles/app_runtimes.py.
    private val opensUpTo: List<Int>?
        get() {
            val (major, minor) = release ?: return null
            return when {
                library == "tflite" -> listOf(major, minor)
                library == "litert" && major in AT_LEAST -> AT_LEAST.getValue(major)
                else -> null
            }
        }

    private val release: List<Int>? // major and minor
        get() = (version.split(".") + "0").take(2).map { it.toIntOrNull() ?: return null }

    /** Whether it knows all of a file's operators and was seen to refuse such files: fp16 depthwise convolutions. */
    private fun isSeenRefusing(entry: FileEntry): Boolean = (library to release) in HALF_DEPTHWISE &&
        entry.recipe == "fp16" && (entry.operators == null || "DEPTHWISE_CONV_2D" in entry.operators)

    /**
     * Throws Refused for a file that needs a newer runtime, that says so in words that nobody here knows, or that was
     * seen not to open in this one.
     */
    fun checkOpens(entry: FileEntry) {
        val needed = OPENS_FROM.find(entry.opensFrom)?.takeIf { it.range.first == 0 }?.let { match ->
            match.groupValues.drop(1).map { it.toInt() }
        }
        val known = opensUpTo
        if (needed == null || known == null || compareValuesBy(needed, known, { it[0] }, { it[1] }) > 0) {
            throw Refused(Reason.NEWER_FILE, entry.file, entry.opensFrom, "$library $version")
        }
        if (isSeenRefusing(entry)) throw Refused(Reason.HALF_DEPTHWISE, entry.file, "$library $version")
    }

    /** Whether the model's maker saw the file right in this very runtime. */
    fun isSeenRight(entry: FileEntry): Boolean =
        entry.seenRight.any { it.runtime in SEEN_AS[library].orEmpty() && it.version == version }

    private companion object {
        val AT_LEAST = mapOf(1 to listOf(2, 17), 2 to listOf(2, 20))
        val HALF_DEPTHWISE = setOf("litert" to listOf(1, 1), "litert" to listOf(1, 2), "tflite" to listOf(2, 19))
        val OPENS_FROM = Regex("LiteRT / TFLite (\\d{1,4})\\.(\\d{1,4})")
        val SEEN_AS = mapOf(
            "tflite" to setOf("android", "android-x86_64", "android-java", "device-tflite"),
            "litert" to setOf("arm64", "litert", "device-litert"),
        )
    }
}

/** A bundle whose manifest and model are those of each other. */
class Bundle(private val files: BundleFiles, val manifest: Manifest, val model: ByteArray) {
    /** The PNG of a self-test image. Throws Refused if it is missing or another one. */
    fun testFile(test: TestImage): ByteArray = checked(files, test.image, test.sha256)
}

/** Reads and checks a bundle for an app with that runtime. Throws Refused with what to do about it. */
fun openBundle(files: BundleFiles, runtime: AppRuntime): Bundle {
    val manifest = readManifest(files.read("manifest.json") ?: throw Refused(Reason.NO_MANIFEST))
    runtime.checkOpens(manifest.file)
    return Bundle(files, manifest, checked(files, manifest.file.file, manifest.file.sha256))
}

private fun checked(files: BundleFiles, name: String, hash: String): ByteArray {
    val bytes = files.read(name) ?: throw Refused(Reason.MISSING, name)
    if (sha256(bytes) != hash) throw Refused(Reason.OTHER_BYTES, name)
    return bytes
}

fun sha256(bytes: ByteArray): String = MessageDigest.getInstance("SHA-256").digest(bytes)
    .joinToString("") { (it.toInt() and 0xff).toString(16).padStart(2, '0') }
