/* The code of docs/preprocess.md in C, translated line by line: what integers of a fixed width make of it.

   SUM is the type of the sums of section 2; a test compiles it with 32 bits too, to see where these end. */
#include <stdint.h>
#include <stdlib.h>

#ifndef SUM
#define SUM int64_t
#endif

typedef struct {
    const uint8_t *data;
    int64_t row_stride, pixel_stride;
} Plane;

static int32_t part(int32_t constant, int32_t value) { return (constant * value + 512) >> 10; }

static uint8_t clamp(int32_t value) { return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value); }

static uint8_t sample(const Plane *plane, int64_t x, int64_t y) {
    return plane->data[y * plane->row_stride + x * plane->pixel_stride];
}

/* planes: Y, U, V; constants: six of the page; rgb: height rows of width pixels */
void yuv_frame(int64_t width, int64_t height, const Plane *planes, const int32_t *constants, uint8_t *rgb) {
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++, rgb += 3) {
            int32_t u = sample(planes + 1, x / 2, y / 2) - 128, v = sample(planes + 2, x / 2, y / 2) - 128;
            int32_t light = part(constants[0], sample(planes, x, y) - constants[5]) + 32;
            rgb[0] = clamp((light + part(constants[1], v)) >> 6);
            rgb[1] = clamp((light + part(constants[2], u) + part(constants[3], v)) >> 6);
            rgb[2] = clamp((light + part(constants[4], u)) >> 6);
        }
}

static int64_t overlap(int64_t i, int64_t j, int64_t n, int64_t s) {
    int64_t end = (i + 1) * n < (j + 1) * s ? (i + 1) * n : (j + 1) * s;
    return end - (i * n > j * s ? i * n : j * s);
}

/* rgb: height rows of width pixels; result: s rows of s pixels. 0 where there is no memory. */
int model_input(int64_t width, int64_t height, const uint8_t *rgb, int64_t s, uint8_t *result) {
    int64_t n = width < height ? width : height, top = (height - n) / 2, left = (width - n) / 2;
    int32_t *sums = malloc((size_t)n * 3 * sizeof *sums);
    if (!sums) return 0;
    for (int64_t i = 0; i < s; i++) {
        for (int64_t k = 0; k < 3 * n; k++) sums[k] = 0;
        for (int64_t r = i * n / s; r <= ((i + 1) * n - 1) / s; r++) {
            const uint8_t *row = rgb + 3 * ((top + r) * width + left);
            for (int64_t k = 0; k < 3 * n; k++) sums[k] += (int32_t)overlap(i, r, n, s) * row[k];
        }
        for (int64_t k = 0; k < s; k++)
            for (int64_t c = 0; c < 3; c++) {
                SUM total = 0, square = (SUM)n * (SUM)n;
                for (int64_t q = k * n / s; q <= ((k + 1) * n - 1) / s; q++)
                    total += (SUM)overlap(k, q, n, s) * (SUM)sums[3 * q + c];
                *result++ = (uint8_t)((2 * total + square) / (2 * square));
            }
    }
    free(sums);
    return 1;
}
