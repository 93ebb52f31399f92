/* A window that moves over the last two axes of x and gives y; both are (channels, height, width). */
struct window {
    int x[3], y[3];
    int size[2];   /* height and width of the window */
    int stride[2]; /* down and to the right */
    int before[2]; /* rows of padding above x, and columns on its left */
};

/* The first column j of y whose j * stride + offset is a column of x. */
static int first_column(int offset, int stride)
{
    return offset >= 0 ? 0 : (stride - 1 - offset) / stride;
}

/* The column of y after the last one whose j * stride + offset is a column of x. */
static int end_column(int offset, int stride, int width, int columns)
{
    const int end = offset >= width ? 0 : (width - 1 - offset) / stride + 1;
    return end < columns ? end : columns;
}

/* The place of the largest x; the first of several. */
static int largest(const float *x, int n)
{
    int place = 0;
    for (int k = 1; k < n; k++)
        if (x[k] > x[place])
            place = k;
    return place;
}
