package dermedge.app

import android.content.ClipData
import android.content.ContentProvider
import android.content.ContentValues
import android.content.Intent
import android.database.Cursor
import android.database.MatrixCursor
import android.net.Uri
import android.os.ParcelFileDescriptor
import android.provider.OpenableColumns
import java.io.FileNotFoundException
import java.io.IOException
import java.util.UUID

private const val AUTHORITY = "dermedge.demo.report"
private const val TYPE = "application/json"
const val REPORT_NAME = "device-report.json"

/**
 * Hands the shared report to the app that the user chooses: out of memory, under an address that only that app is told and
 * may read. Nothing is written to the phone's storage.
 */
class ReportProvider : ContentProvider() {
    override fun onCreate() = true

    override fun getType(uri: Uri): String? = if (reportAt(uri) == null) null else TYPE

    override fun query(uri: Uri, columns: Array<String>?, chosen: String?, values: Array<String>?, order: String?): Cursor? {
        val report = reportAt(uri) ?: return null
        val facts = mapOf(OpenableColumns.DISPLAY_NAME to REPORT_NAME, OpenableColumns.SIZE to report.size)
        val names = (columns?.toList() ?: facts.keys.toList()).filter { it in facts }
        return MatrixCursor(names.toTypedArray()).apply { addRow(names.map { facts[it] }) }
    }

    override fun openFile(uri: Uri, mode: String): ParcelFileDescriptor {
        val report = reportAt(uri)
        if (report == null || mode != "r") throw FileNotFoundException(uri.toString())
        return openPipeHelper(uri, TYPE, null, report) { output, _, _, _, bytes ->
            try {
                ParcelFileDescriptor.AutoCloseOutputStream(output).use { it.write(bytes) }
            } catch (_: IOException) { // the other app has closed its end
            }
        }
    }

    override fun insert(uri: Uri, values: ContentValues?): Uri? = null

    override fun update(uri: Uri, values: ContentValues?, chosen: String?, arguments: Array<String>?) = 0

    override fun delete(uri: Uri, chosen: String?, arguments: Array<String>?) = 0

    companion object {
        private var shared: Pair<Uri, ByteArray>? = null

        private fun reportAt(uri: Uri): ByteArray? = synchronized(this) { shared?.takeIf { it.first == uri }?.second }

        /** What the share sheet is opened with for a report; the last one cannot be read any more. */
        fun share(report: String): Intent {
            val uri = Uri.parse("content://$AUTHORITY/${UUID.randomUUID()}/$REPORT_NAME")
            synchronized(this) { shared = uri to report.toByteArray() }
            return Intent(Intent.ACTION_SEND).setType(TYPE).putExtra(Intent.EXTRA_STREAM, uri)
                .addFlags(Intent.FLAG_GRANT_READ_URI_PERMISSION)
                .apply { clipData = ClipData.newRawUri(REPORT_NAME, uri) } // the permission goes with it through the sheet
        }
    }
}
