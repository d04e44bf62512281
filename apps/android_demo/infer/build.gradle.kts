plugins {
    id("com.android.library")
    id("org.jetbrains.kotlin.android")
}

android {
    namespace = "dermedge.infer"
    compileSdk = 36
    defaultConfig { minSdk = 28 }
    flavorDimensions += "accelerator"
    productFlavors {
        create("cpu") // src/cpu and src/gpu differ in Gpu.kt alone
        create("gpu")
    }
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
    api(project(":core"))
    api("com.google.ai.edge.litert:litert:${rootProject.extra["litert"]}")
    "gpuImplementation"("com.google.ai.edge.litert:litert-gpu:${rootProject.extra["litert"]}")
    "gpuImplementation"("com.google.ai.edge.litert:litert-gpu-api:${rootProject.extra["litert"]}")
}
