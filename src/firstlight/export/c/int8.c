/* x as int8, the nearest that there is */
static int8_t saturated(int64_t x)
{
    return (int8_t)(x < -128 ? -128 : x > 127 ? 127 : x);
}

/* sum * multiplier / 2^shift + zero, rounded to the nearest, halves away from 0; no negative number is shifted */
static int8_t requantized(int64_t sum, int32_t multiplier, int shift, int zero)
{
    const int64_t product = sum * multiplier, half = (int64_t)1 << (shift - 1);
    return saturated((product < 0 ? -((half - product) >> shift) : (product + half) >> shift) + zero);
}

/* x[c][i][j] = table[c][image[i][j][c]] */
static void prepare_int8(const uint8_t *image, int8_t *x, const int8_t *table, int channels, int pixels)
{
    for (int c = 0; c < channels; c++)
        for (int p = 0; p < pixels; p++)
            x[c * pixels + p] = table[c * 256 + image[p * channels + c]];
}

/* x[c][i][j] = image[i][j][c] * scale[c][i][j] + shift[c][i][j] + zero */
static void prepare_pixels_int8(const uint8_t *image, int8_t *x, const float *scale, const float *shift, int channels,
                                int pixels, int zero)
{
    for (int c = 0; c < channels; c++)
        for (int p = 0; p < pixels; p++) {
            const int at = c * pixels + p;
            const float value = (float)image[p * channels + c] * scale[at] + shift[at];
            x[at] = saturated((int64_t)floorf(value + 0.5f) + zero);
        }
}

/* x = steps * (image - mean) / standard deviation + zero over all values of the image; a deviation of 0 is taken as 1 */
static void prepare_image_int8(const uint8_t *image, int8_t *x, int channels, int pixels, double steps, int zero)
{
    const int64_t n = (int64_t)channels * pixels;
    int64_t sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += image[i];
        squares += image[i] * image[i];
    }
    const int64_t variance = n * squares - sum * sum; /* times n^2 */
    const double mean = (double)sum / (double)n;
    const double factor = steps / (variance > 0 ? sqrt((double)variance) / (double)n : 1.0);
    for (int c = 0; c < channels; c++)
        for (int p = 0; p < pixels; p++)
            x[c * pixels + p] = saturated((int64_t)floor((image[p * channels + c] - mean) * factor + 0.5) + zero);
}

/* y[o][i][j] = b[o] + sum over c, k, l of W[o][c][k][l] * (x[c][i * stride + k - before][j * stride + l - before]
   - zero_x), where x is zero_x outside; one row of y after another, in sums of its width, then requantized */
static void convolution_int8(const int8_t *restrict x, int8_t *restrict y, const int8_t *W, const int32_t *b,
                             const int32_t *multiplier, const uint8_t *shift, int zero_x, int zero,
                             int32_t *restrict sums, struct window w)
{
    const int width = w.x[2], columns = w.y[2], stride = w.stride[1];
    for (int o = 0; o < w.y[0]; o++)
        for (int i = 0; i < w.y[1]; i++, y += columns) {
            const int8_t *taps = W + o * w.x[0] * w.size[0] * w.size[1];
            for (int j = 0; j < columns; j++)
                sums[j] = b[o];
            for (int c = 0; c < w.x[0]; c++)
                for (int k = 0; k < w.size[0]; k++, taps += w.size[1]) {
                    const int row = i * w.stride[0] + k - w.before[0];
                    if (row < 0 || row >= w.x[1])
                        continue;
                    const int8_t *seen = x + (c * w.x[1] + row) * width;
                    for (int l = 0; l < w.size[1]; l++) {
                        const int offset = l - w.before[1], end = end_column(offset, stride, width, columns);
                        if (stride == 1)
                            for (int j = first_column(offset, 1); j < end; j++)
                                sums[j] += taps[l] * (seen[j + offset] - zero_x);
                        else
                            for (int j = first_column(offset, stride); j < end; j++)
                                sums[j] += taps[l] * (seen[j * stride + offset] - zero_x);
                    }
                }
            for (int j = 0; j < columns; j++)
                y[j] = requantized(sums[j], multiplier[o], shift[o], zero);
        }
}

/* b + sum over k of W[k] * (x[k] - zero_x) */
static int32_t dot_int8(const int8_t *x, const int8_t *W, int32_t b, int n, int zero_x)
{
    int32_t sum = b;
    for (int k = 0; k < n; k++)
        sum += W[k] * (x[k] - zero_x);
    return sum;
}

/* y = W x + b, requantized */
static void product_int8(const int8_t *x, int8_t *y, const int8_t *W, const int32_t *b, const int32_t *multiplier,
                         const uint8_t *shift, int zero_x, int zero, int outputs, int inputs)
{
    for (int o = 0; o < outputs; o++)
        y[o] = requantized(dot_int8(x, W + o * inputs, b[o], inputs, zero_x), multiplier[o], shift[o], zero);
}

/* y = W x + b, as numbers with a point */
static void product_float(const int8_t *x, float *y, const int8_t *W, const int32_t *b, const float *scale, int zero_x,
                          int outputs, int inputs)
{
    for (int o = 0; o < outputs; o++) {
        const int32_t sum = dot_int8(x, W + o * inputs, b[o], inputs, zero_x);
        y[o] = (float)sum * scale[o];
    }
}

/* y[c] = W[c] * (x[c] - zero_x) + b[c], requantized, for each of the values of a channel */
static void batch_norm_int8(const int8_t *x, int8_t *y, const int16_t *W, const int32_t *b, const int32_t *multiplier,
                            const uint8_t *shift, int zero_x, int zero, int channels, int each)
{
    for (int c = 0; c < channels; c++)
        for (int i = c * each; i < (c + 1) * each; i++)
            y[i] = requantized(W[c] * (x[i] - zero_x) + b[c], multiplier[c], shift[c], zero);
}

/* y = table[x], from -128 on */
static void look_up(const int8_t *x, int8_t *y, int n, const int8_t *table)
{
    for (int i = 0; i < n; i++)
        y[i] = table[x[i] + 128];
}

/* y = scale * (x - zero_x) */
static void as_float(const int8_t *x, float *y, int n, float scale, int zero_x)
{
    for (int i = 0; i < n; i++)
        y[i] = scale * (float)(x[i] - zero_x);
}

/* y = the largest x of each window, of what lies inside x */
static void max_pool_int8(const int8_t *x, int8_t *y, struct window w)
{
    for (int c = 0; c < w.y[0]; c++, x += w.x[1] * w.x[2])
        for (int i = 0; i < w.y[1]; i++)
            for (int j = 0; j < w.y[2]; j++) {
                int8_t largest = -128;
                for (int k = 0; k < w.size[0]; k++)
                    for (int l = 0; l < w.size[1]; l++) {
                        const int row = i * w.stride[0] + k - w.before[0], column = j * w.stride[1] + l - w.before[1];
                        if (row >= 0 && row < w.x[1] && column >= 0 && column < w.x[2]
                            && x[row * w.x[2] + column] > largest)
                            largest = x[row * w.x[2] + column];
                    }
                *y++ = largest;
            }
}

/* y = the mean of x - zero_x in each window, of what lies inside x, times multiplier / 2^shift, + zero */
static void average_pool_int8(const int8_t *x, int8_t *y, int32_t multiplier, int shift, int zero_x, int zero,
                              struct window w)
{
    for (int c = 0; c < w.y[0]; c++, x += w.x[1] * w.x[2])
        for (int i = 0; i < w.y[1]; i++)
            for (int j = 0; j < w.y[2]; j++) {
                int32_t sum = 0;
                int64_t count = 0;
                for (int k = 0; k < w.size[0]; k++)
                    for (int l = 0; l < w.size[1]; l++) {
                        const int row = i * w.stride[0] + k - w.before[0], column = j * w.stride[1] + l - w.before[1];
                        if (row >= 0 && row < w.x[1] && column >= 0 && column < w.x[2]) {
                            sum += x[row * w.x[2] + column] - zero_x;
                            count++;
                        }
                    }
                const int64_t scaled = (int64_t)sum * multiplier, divisor = count << shift, half = divisor / 2;
                *y++ = saturated((scaled < 0 ? -((half - scaled) / divisor) : (scaled + half) / divisor) + zero);
            }
}

/* y = (multiplier_x * (x - zero_x) + multiplier_z * (z - zero_z)) / 2^shift + zero */
static void add_int8(const int8_t *x, const int8_t *z, int8_t *y, int n, int32_t multiplier_x, int32_t multiplier_z,
                     int shift, int zero_x, int zero_z, int zero)
{
    for (int i = 0; i < n; i++)
        y[i] = requantized(multiplier_x * (x[i] - zero_x) + multiplier_z * (z[i] - zero_z), 1, shift, zero);
}

/* y = x */
static void copy_int8(const int8_t *x, int8_t *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = x[i];
}

/* y = zero */
static void zeros_int8(int8_t *y, int n, int zero)
{
    for (int i = 0; i < n; i++)
        y[i] = (int8_t)zero;
}

/* y = steps * e^x / sum of e^x over the first axis + zero; exponentials has e to the distances from the largest x */
static void softmax_int8(const int8_t *x, int8_t *y, const float *exponentials, float steps, int zero, int channels,
                         int each)
{
    for (int i = 0; i < each; i++) {
        int8_t largest = x[i];
        float sum = 0.0f;
        for (int c = 1; c < channels; c++)
            if (x[c * each + i] > largest)
                largest = x[c * each + i];
        for (int c = 0; c < channels; c++)
            sum += exponentials[largest - x[c * each + i]];
        for (int c = 0; c < channels; c++) {
            const float share = exponentials[largest - x[c * each + i]] / sum;
            y[c * each + i] = saturated((int64_t)floorf(share * steps + 0.5f) + zero);
        }
    }
}
