package dermedge.infer

import org.tensorflow.lite.Delegate

/** How the GPU's delegate is made: null, because this build of the app has no library for it. */
val gpuDelegate: (() -> Delegate?)? = null
