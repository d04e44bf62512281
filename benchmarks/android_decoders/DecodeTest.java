import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import android.graphics.ColorSpace;
import android.graphics.ImageDecoder;
import android.os.Build;
import java.io.File;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.annotation.Config;
import org.robolectric.annotation.GraphicsMode;

/** Android's two decoders on every file of a folder, asked for sRGB: width, height and ARGB, big-endian, or the error. */
@RunWith(RobolectricTestRunner.class)
@Config(sdk = {34, 35, 36}, manifest = Config.NONE)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
public class DecodeTest {
    private interface Decoder {
        Bitmap decode(byte[] contents) throws Exception;
    }

    /** Width and height are divided by it. */
    private static final int SAMPLE = Integer.getInteger("decode.sample", 1);

    @Test
    public void decode() throws Exception {
        for (File file : new File(System.getProperty("decode.in")).listFiles()) {
            byte[] contents = Files.readAllBytes(file.toPath());
            keep(file, "ImageDecoder", contents, bytes -> ImageDecoder.decodeBitmap(
                ImageDecoder.createSource(ByteBuffer.wrap(bytes)), (decoder, info, source) -> {
                    decoder.setAllocator(ImageDecoder.ALLOCATOR_SOFTWARE);
                    decoder.setTargetSampleSize(SAMPLE);
                    decoder.setTargetColorSpace(ColorSpace.get(ColorSpace.Named.SRGB));
                }));
            keep(file, "BitmapFactory", contents, bytes -> {
                BitmapFactory.Options options = new BitmapFactory.Options();
                options.inSampleSize = SAMPLE;
                options.inPreferredColorSpace = ColorSpace.get(ColorSpace.Named.SRGB);
                return BitmapFactory.decodeByteArray(bytes, 0, bytes.length, options);
            });
        }
    }

    private static void keep(File file, String name, byte[] contents, Decoder decoder) throws Exception {
        String target = String.format("%s.%s.%d", file.getName(), name, Build.VERSION.SDK_INT);
        Path path = new File(System.getProperty("decode.out"), target).toPath();
        try {
            Bitmap bitmap = decoder.decode(contents);
            int width = bitmap.getWidth();
            int height = bitmap.getHeight();
            int[] pixels = new int[width * height];
            bitmap.getPixels(pixels, 0, width, 0, 0, width, height);
            ByteBuffer out = ByteBuffer.allocate(8 + 4 * pixels.length).putInt(width).putInt(height);
            for (int pixel : pixels) {
                out.putInt(pixel);
            }
            Files.write(path, out.array());
        } catch (Exception error) { // BitmapFactory says null, ImageDecoder throws
            Files.write(path.resolveSibling(target + ".error"), String.valueOf(error.getMessage()).getBytes());
        }
    }
}
