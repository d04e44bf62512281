// docs/device_reports.md: what this device answered, as `dermedge parity --device-report` reads it.
package dermedge.core

private const val LONGEST = 200 // letters of a name

/** What the app knows of the device: its model and its system. */
class Device(val model: String, val system: String)

/** The text of device-report.json. */
fun deviceReport(entry: FileEntry, result: SelfTestResult, device: Device, runtime: AppRuntime): String {
    val body = writeJson(
        mapOf(
            "schema" to "dermedge/device-report/1",
            "device" to mapOf("model" to named(device.model), "system" to named(device.system)),
            "runtime" to mapOf(
                "library" to runtime.library, "version" to runtime.version, "accelerator" to result.accelerator,
            ),
            "file" to mapOf("name" to entry.file, "sha256" to entry.sha256),
            "images" to result.rows.map { row ->
                mapOf(
                    "rgb_sha256" to row.test.rgbSha256, "answers" to row.test.answers?.toList(),
                    "probabilities" to row.obtained.toList(),
                )
            },
            "milliseconds" to mapOf(
                "load" to result.times.load, "first" to result.times.first, "median" to result.times.median,
                "p90" to result.times.p90, "runs" to result.times.others.size,
            ),
            "memory_bytes" to result.memoryBytes,
        ),
    )
    return writeJson(mapOf("body" to body, "sha256" to sha256(body.toByteArray(Charsets.UTF_8))))
}

private fun named(text: String) = text.take(LONGEST).ifBlank { "unknown" }
