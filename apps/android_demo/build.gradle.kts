// For Android Studio, with LiteRT of Google's Maven. build_apk.py builds the same sources without Gradle.
plugins {
    id("com.android.application") version "8.13.0" apply false
    id("com.android.library") version "8.13.0" apply false
    id("org.jetbrains.kotlin.android") version "2.3.21" apply false
    id("org.jetbrains.kotlin.jvm") version "2.3.21" apply false
}

extra["litert"] = "1.4.0" // the app states it too: dermedge bundle --runtime litert-1.4.0
