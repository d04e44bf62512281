package dermedge.app

import java.util.Locale
import org.junit.Assert.assertEquals
import org.junit.Test

/** Numbers that the app writes into a field are read from it again after a rotation, whatever the phone's language. */
class NumbersTest {
    @Test
    fun numbersAreReadAsTheyAreWritten() {
        val before = Locale.getDefault()
        try {
            for (language in listOf("en", "de", "sv", "nb", "fi", "ar-EG", "fa", "bn", "hi", "he", "fr-CH")) {
                Locale.setDefault(Locale.forLanguageTag(language))
                for (number in listOf(0.0, 54.0, -54.5, 1234567.25)) assertEquals(language, number, numberIn(typed(number)))
            }
        } finally {
            Locale.setDefault(before)
        }
    }

    @Test
    fun whatIsNoNumberIsNone() {
        for (text in listOf("", "-", "1,2,3", "12 years", "one")) assertEquals(text, null, numberIn(text))
    }
}
