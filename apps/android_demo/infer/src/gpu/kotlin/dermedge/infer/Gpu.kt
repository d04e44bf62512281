package dermedge.infer

import org.tensorflow.lite.Delegate
import org.tensorflow.lite.gpu.CompatibilityList
import org.tensorflow.lite.gpu.GpuDelegate
import org.tensorflow.lite.gpu.GpuDelegateFactory

/**
 * How the GPU's delegate is made; gives null on a phone whose driver its list does not have, where it may crash.
 * In full precision: half of it would be faster and would answer otherwise than the CPU.
 */
val gpuDelegate: (() -> Delegate?)? = {
    if (CompatibilityList().use { it.isDelegateSupportedOnThisDevice }) {
        GpuDelegate(GpuDelegateFactory.Options().setPrecisionLossAllowed(false))
    } else {
        null
    }
}
