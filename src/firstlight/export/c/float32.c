/* x[c][i][j] = image[i][j][c] * scale + shift; scale and shift are of each channel, or of each pixel of each channel */
static void prepare(const uint8_t *image, float *x, const float *scale, const float *shift, int channels, int pixels,
                    int of_each_pixel)
{
    for (int c = 0; c < channels; c++)
        for (int p = 0; p < pixels; p++) {
            const int at = of_each_pixel ? c * pixels + p : c;
            x[c * pixels + p] = (float)image[p * channels + c] * scale[at] + shift[at];
        }
}

/* x = (x - mean) / standard deviation over all n values; a deviation of 0 is taken as 1 */
static void standardize(float *x, int n)
{
    double mean = 0.0, variance = 0.0;
    for (int i = 0; i < n; i++)
        mean += (double)x[i];
    mean /= n;
    for (int i = 0; i < n; i++)
        variance += ((double)x[i] - mean) * ((double)x[i] - mean);
    const double deviation = variance > 0.0 ? sqrt(variance / n) : 1.0;
    for (int i = 0; i < n; i++)
        x[i] = (float)(((double)x[i] - mean) / deviation);
}

/* y[o][i][j] = b[o] + sum over c, k, l of W[o][c][k][l] * x[c][i * stride + k - before][j * stride + l - before],
   where x is 0 outside; one row of y after another */
static void convolution(const float *restrict x, float *restrict y, const float *W, const float *b, struct window w)
{
    const int width = w.x[2], columns = w.y[2], stride = w.stride[1];
    for (int o = 0; o < w.y[0]; o++)
        for (int i = 0; i < w.y[1]; i++, y += columns) {
            const float *taps = W + o * w.x[0] * w.size[0] * w.size[1];
            for (int j = 0; j < columns; j++)
                y[j] = b[o];
            for (int c = 0; c < w.x[0]; c++)
                for (int k = 0; k < w.size[0]; k++, taps += w.size[1]) {
                    const int row = i * w.stride[0] + k - w.before[0];
                    if (row < 0 || row >= w.x[1])
                        continue;
                    const float *seen = x + (c * w.x[1] + row) * width;
                    for (int l = 0; l < w.size[1]; l++) {
                        const int offset = l - w.before[1], end = end_column(offset, stride, width, columns);
                        if (stride == 1)
                            for (int j = first_column(offset, 1); j < end; j++)
                                y[j] += taps[l] * seen[j + offset];
                        else
                            for (int j = first_column(offset, stride); j < end; j++)
                                y[j] += taps[l] * seen[j * stride + offset];
                    }
                }
        }
}

/* y[o] = b[o] + sum over k, l of W[o][k][l] * x[c][i * stride + k - before][j * stride + l - before], where x is 0
   outside, and c is the channel of x that the filter o sees */
static void depthwise_convolution(const float *restrict x, float *restrict y, const float *W, const float *b,
                                  struct window w)
{
    const int area = w.size[0] * w.size[1], filters = w.y[0] / w.x[0];
    for (int o = 0; o < w.y[0]; o++) {
        struct window one = w;
        one.x[0] = one.y[0] = 1;
        convolution(x + o / filters * w.x[1] * w.x[2], y + o * w.y[1] * w.y[2], W + o * area, b + o, one);
    }
}

/* y[o] = b[o] + sum over k of W[o][k] * x[k]; four sums at a time, so that none waits for the one before */
static void product(const float *restrict x, float *restrict y, const float *W, const float *b, int outputs, int inputs)
{
    for (int o = 0; o < outputs; o++, W += inputs) {
        float sums[4] = {b[o], 0.0f, 0.0f, 0.0f};
        int k = 0;
        for (; k + 4 <= inputs; k += 4)
            for (int s = 0; s < 4; s++)
                sums[s] += W[k + s] * x[k + s];
        for (; k < inputs; k++)
            sums[0] += W[k] * x[k];
        y[o] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    }
}

/* y = max(x, 0) */
static void relu(const float *x, float *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = x[i] > 0.0f ? x[i] : 0.0f;
}

/* y = x where x > 0, else a * x */
static void leaky_relu(const float *x, float *y, int n, float a)
{
    for (int i = 0; i < n; i++)
        y[i] = x[i] > 0.0f ? x[i] : a * x[i];
}

/* y = x where x > 0, else a * (e^x - 1); then scaled */
static void elu(const float *x, float *y, int n, float a, float scale)
{
    for (int i = 0; i < n; i++)
        y[i] = scale * (x[i] > 0.0f ? x[i] : a * expm1f(x[i]));
}

/* y = 1 / (1 + e^-x) */
static void sigmoid(const float *x, float *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = 1.0f / (1.0f + expf(-x[i]));
}

/* y = tanh x */
static void hyperbolic_tangent(const float *x, float *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = tanhf(x[i]);
}

/* y = x * Phi(x), Phi the normal distribution function: erfc(-x / sqrt(2)) / 2 */
static void gelu(const float *x, float *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = x[i] * 0.5f * erfcf(x[i] * -0.70710678f);
}

/* y = x / (1 + e^-x) */
static void silu(const float *x, float *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = x[i] / (1.0f + expf(-x[i]));
}

/* y = x * tanh(log(1 + e^x)) */
static void mish(const float *x, float *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = x[i] * tanhf(x[i] > 20.0f ? x[i] : log1pf(expf(x[i])));
}

/* y = gamma * (x - mean) / deviation + beta for x[group][value][other], mean and deviation over the values of a group,
   of which `of_each` one after another are of one channel */
static void sample_norm(const float *x, float *y, const float *gamma, const float *beta, int groups, int values,
                        int others, int of_each, double epsilon)
{
    for (int g = 0; g < groups; g++, x += values * others, y += values * others)
        for (int p = 0; p < others; p++) {
            double mean = 0.0, variance = 0.0;
            for (int v = 0; v < values; v++)
                mean += (double)x[v * others + p];
            mean /= values;
            for (int v = 0; v < values; v++)
                variance += ((double)x[v * others + p] - mean) * ((double)x[v * others + p] - mean);
            const double deviation = sqrt(variance / values + epsilon);
            for (int v = 0; v < values; v++) {
                const int c = (g * values + v) / of_each;
                y[v * others + p] = gamma[c] * (float)(((double)x[v * others + p] - mean) / deviation) + beta[c];
            }
        }
}

/* y = the largest x of each window, of what lies inside x */
static void max_pool(const float *x, float *y, struct window w)
{
    for (int c = 0; c < w.y[0]; c++, x += w.x[1] * w.x[2])
        for (int i = 0; i < w.y[1]; i++)
            for (int j = 0; j < w.y[2]; j++) {
                float largest = -FLT_MAX;
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

/* y = the mean x of each window, of what lies inside x */
static void average_pool(const float *x, float *y, struct window w)
{
    for (int c = 0; c < w.y[0]; c++, x += w.x[1] * w.x[2])
        for (int i = 0; i < w.y[1]; i++)
            for (int j = 0; j < w.y[2]; j++) {
                float sum = 0.0f;
                int count = 0;
                for (int k = 0; k < w.size[0]; k++)
                    for (int l = 0; l < w.size[1]; l++) {
                        const int row = i * w.stride[0] + k - w.before[0], column = j * w.stride[1] + l - w.before[1];
                        if (row >= 0 && row < w.x[1] && column >= 0 && column < w.x[2]) {
                            sum += x[row * w.x[2] + column];
                            count++;
                        }
                    }
                *y++ = sum / (float)count;
            }
}

/* y[c] = scale[c] * x[c] + shift[c], for each of the values of a channel */
static void batch_norm(const float *x, float *y, const float *scale, const float *shift, int channels, int each)
{
    for (int c = 0; c < channels; c++)
        for (int i = 0; i < each; i++)
            y[c * each + i] = scale[c] * x[c * each + i] + shift[c];
}

/* y = x + z */
static void add(const float *x, const float *z, float *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = x[i] + z[i];
}

/* y = y + x / nets: the share of one net in their mean */
static void add_share(const float *x, float *y, int n, float nets)
{
    for (int i = 0; i < n; i++)
        y[i] += x[i] / nets;
}

/* y = e^x / sum of e^x over the first axis, with the largest x taken off first */
static void softmax(const float *x, float *y, int channels, int each)
{
    for (int i = 0; i < each; i++) {
        float largest = x[i], sum = 0.0f;
        for (int c = 1; c < channels; c++)
            if (x[c * each + i] > largest)
                largest = x[c * each + i];
        for (int c = 0; c < channels; c++)
            sum += y[c * each + i] = expf(x[c * each + i] - largest);
        for (int c = 0; c < channels; c++)
            y[c * each + i] /= sum;
    }
}

/* y = max(x, 0) / sum of max(x, 0); where no x is positive, 1 for the largest and 0 for the others */
static void estimates(const float *x, float *y, int n)
{
    const int first = largest(x, n);
    float sum = 0.0f;
    for (int k = 0; k < n; k++)
        if (x[k] > 0.0f)
            sum += x[k];
    for (int k = 0; k < n; k++)
        y[k] = sum > 0.0f ? (x[k] > 0.0f ? x[k] / sum : 0.0f) : (float)(k == first);
}

/* y = x */
static void copy(const float *x, float *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = x[i];
}

/* y = 0 */
static void zeros(float *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = 0.0f;
}

/* y = min_k |W u - c_k| with u = x / |x|: W has so many rows of so many features, c a row for each of the classes */
static void strange(const float *x, float *y, const float *W, const float *c, float *distances, int rows,
                    int features, int classes)
{
    double squares = 0.0;
    for (int i = 0; i < features; i++)
        squares += (double)x[i] * x[i];
    const float length = squares > 1e-24 ? (float)sqrt(squares) : 1e-12f;
    for (int k = 0; k < classes; k++)
        distances[k] = 0.0f;
    for (int r = 0; r < rows; r++) {
        float z = 0.0f;
        for (int i = 0; i < features; i++)
            z += W[r * features + i] * (x[i] / length);
        for (int k = 0; k < classes; k++) {
            const float apart = z - c[k * rows + r];
            distances[k] += apart * apart;
        }
    }
    float nearest = distances[0];
    for (int k = 1; k < classes; k++)
        nearest = distances[k] < nearest ? distances[k] : nearest;
    y[0] = (float)sqrt((double)nearest);
}
