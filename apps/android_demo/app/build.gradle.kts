plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

android {
    namespace = "dermedge.app"
    compileSdk = 36
    defaultConfig {
        applicationId = "dermedge.demo"
        minSdk = 28
        targetSdk = 35
        versionCode = 1
        versionName = "1.0"
        resValue("string", "runtime_library", "litert")
        resValue("string", "runtime_version", rootProject.extra["litert"].toString())
    }
    flavorDimensions += "accelerator"
    productFlavors {
        create("cpu")
        create("gpu") // with LiteRT's GPU delegate, and the choice of it
    }
    buildTypes {
        release {
            isMinifyEnabled = true
            proguardFiles(rootProject.file("keep.pro"))
        }
    }
    androidResources { noCompress += listOf("tflite", "png") }
    buildFeatures { resValues = true }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
}

kotlin {
    compilerOptions {
        jvmTarget.set(org.jetbrains.kotlin.gradle.dsl.JvmTarget.JVM_1_8)
    }
}

dependencies {
    implementation(project(":infer"))
}
