/* Cosines: of given rows, and of the nearest among all rows of a part. */

#include <math.h>
#include <stdlib.h>

#include "core.h"

enum { BUCKETS = 2048, MOST = 127 };

/* Inner products of some rows of a matrix with a vector. Sixteen sums, added up in one fixed order: equal rows give
 * equal products wherever they stand. */
KB_WIDE int kb_dots(const float *matrix, int64_t height, int64_t width, const int64_t *rows, int64_t n,
                    const float *vector, float *products) {
    for (int64_t r = 0; r < n; r++)
        if (rows[r] < 0 || rows[r] >= height) return KB_CORRUPT;
    for (int64_t r = 0; r < n; r++) {
        const float *row = matrix + rows[r] * width;
        if (r + 2 < n) /* rows lie apart, and a processor looks ahead only within one */
            for (int64_t i = 0; i < width; i += 16) __builtin_prefetch(matrix + rows[r + 2] * width + i);
        float sums[16] = {0};
        int64_t i = 0;
        for (; i + 16 <= width; i += 16)
            for (int k = 0; k < 16; k++) sums[k] += row[i + k] * vector[i + k];
        float rest = 0;
        for (; i < width; i++) rest += row[i] * vector[i];
        for (int half = 8; half; half /= 2)
            for (int k = 0; k < half; k++) sums[k] += sums[k + half];
        products[r] = sums[0] + rest;
    }
    return 0;
}

/* Products of the 8-bit codes of n texts with a vector. Sixteen sums, added up in one fixed order, as above. */
KB_HIDDEN KB_WIDE void kb_products(const int8_t *restrict codes, int64_t n, int64_t width, const float *restrict vector,
                                   float *restrict products) {
    for (int64_t r = 0; r < n; r++) {
        const int8_t *code = codes + r * width;
        float sums[16] = {0}, rest = 0;
        int64_t i = 0;
        for (; i + 16 <= width; i += 16)
            for (int k = 0; k < 16; k++) sums[k] += (float)code[i + k] * vector[i + k];
        for (; i < width; i++) rest += (float)code[i] * vector[i];
        for (int half = 8; half; half /= 2)
            for (int k = 0; k < half; k++) sums[k] += sums[k + half];
        products[r] = sums[0] + rest;
    }
}

/* Inner products of 8-bit codes with a vector of 16-bit numbers. The caller has seen that a sum fits. */
KB_WIDE static void dots_of_codes(const int8_t *restrict codes, int64_t n, int64_t width, const int16_t *restrict vector,
                                  int32_t *restrict sums) {
    for (int64_t r = 0; r < n; r++) {
        const int8_t *row = codes + r * width;
        int32_t sum = 0;
        for (int64_t i = 0; i < width; i++) sum += (int32_t)row[i] * vector[i];
        sums[r] = sum;
    }
}

/* A vector in 16-bit steps, each number times its weight, such that its product with any code fits into 32 bits: no number
 * of a code is greater than `most`. Answers the step. */
KB_HIDDEN double kb_in_steps(const float *vector, const float *weights, int64_t width, int32_t most, int16_t *steps) {
    double greatest = 0, sum = 0;
    for (int64_t i = 0; i < width; i++) {
        double size = fabs((double)vector[i] * (weights ? weights[i] : 1));
        greatest = size > greatest ? size : greatest;
        sum += size;
    }
    /* |sum of codes * steps| <= most * (sum / step + width / 2) */
    double step = greatest / INT16_MAX, least = sum / ((double)INT32_MAX / (most + 1) - (double)width);
    step = step > least ? step : least;
    for (int64_t i = 0; i < width; i++) {
        double times = step > 0 ? (double)vector[i] * (weights ? weights[i] : 1) / step : 0;
        steps[i] = isfinite(times) ? (int16_t)lrint(times) : 0;
    }
    return step;
}

/* Mean and deviation of the cosines between a vector and n passages, from their codes. */
KB_HIDDEN int kb_background(const int8_t *codes, int64_t n, int64_t width, float step, const float *vector, float *mean,
                            float *spread) {
    int16_t *steps = malloc((size_t)width * sizeof(int16_t));
    int32_t *sums = malloc((size_t)(n + 1) * sizeof(int32_t));
    if (steps && sums) {
        double unit = step * kb_in_steps(vector, NULL, width, MOST, steps), total = 0, squares = 0;
        dots_of_codes(codes, n, width, steps, sums);
        for (int64_t i = 0; i < n; i++) total += sums[i];
        total /= (double)n;
        for (int64_t i = 0; i < n; i++) squares += (sums[i] - total) * (sums[i] - total);
        *mean = (float)(total * unit);
        *spread = (float)(sqrt(squares / (double)n) * unit);
    }
    free(steps);
    free(sums);
    return steps && sums ? 0 : KB_NO_MEMORY;
}

/* A value that at least k of n have or exceed, and few others: the edge of a bucket. -INFINITY where there is none. */
static float edge_of(const float *values, int64_t n, int64_t k) {
    int32_t buckets[BUCKETS] = {0};
    float low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
        if (!isfinite(values[i])) return -INFINITY;
    }
    float per = (float)BUCKETS / (high - low);
    if (!isfinite(per) || !(per > 0)) return -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        int32_t bucket = (int32_t)((values[i] - low) * per);
        buckets[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    }
    int64_t above = 0;
    int32_t bucket = BUCKETS;
    while (bucket > 0 && above < k) above += buckets[--bucket];
    /* A bucket's width below it: where its edge was rounded, those inside are still at or above. */
    return bucket > 1 ? low + (float)(bucket - 1) / per : -INFINITY;
}

KB_WIDE static void extremes(const int32_t *sums, int64_t n, int32_t *lowest, int32_t *highest) {
    int32_t low = INT32_MAX, high = INT32_MIN;
    for (int64_t i = 0; i < n; i++) {
        low = sums[i] < low ? sums[i] : low;
        high = sums[i] > high ? sums[i] : high;
    }
    *lowest = low, *highest = high;
}

/* A byte for each sum: 1 from a limit on. */
KB_WIDE static void at_least(const int32_t *restrict sums, int64_t n, int32_t limit, uint8_t *restrict may) {
    for (int64_t i = 0; i < n; i++) may[i] = sums[i] >= limit;
}

/* The places whose sum is at least a limit, few of many; answers how many. may: n + 8 bytes. */
KB_HIDDEN int64_t kb_places_from(const int32_t *sums, int64_t n, int64_t limit, uint8_t *may, int64_t *places) {
    int64_t count = 0;
    if (limit > INT32_MAX) return 0;
    at_least(sums, n, limit > INT32_MIN ? (int32_t)limit : INT32_MIN, may);
    memset(may + n, 0, 8);
    for (int64_t at = 0; at < n; at += 8) {
        uint64_t eight;
        memcpy(&eight, may + at, sizeof eight);
        for (; eight; eight &= eight - 1) places[count++] = at + __builtin_ctzll(eight) / 8;
    }
    return count;
}

/* The same of the sums of codes: at least k of the allowed ones have it or more, and few others. */
KB_HIDDEN int64_t kb_edge_of_sums(const int32_t *sums, const uint8_t *allowed, int64_t n, int64_t k) {
    int32_t buckets[BUCKETS] = {0}, low, high, bucket = BUCKETS;
    extremes(sums, n, &low, &high);
    int shift = 0;
    while (((int64_t)high - low) >> shift >= BUCKETS) shift++;
    if (allowed)
        for (int64_t i = 0; i < n; i++) buckets[((int64_t)sums[i] - low) >> shift] += allowed[i] != 0;
    else
        for (int64_t i = 0; i < n; i++) buckets[((int64_t)sums[i] - low) >> shift]++;
    int64_t above = 0;
    while (bucket > 0 && above < k) above += buckets[--bucket];
    return low + ((int64_t)bucket << shift);
}

/* The best k of n rows by their exact cosines: score descending, row ascending. Answers how many. */
KB_HIDDEN int64_t kb_best(const float *matrix, int64_t height, int64_t width, const int64_t *rows, int64_t n, const float *vector,
                int64_t k, int64_t *best, float *scores) {
    if (height > UINT32_MAX) return KB_CORRUPT;
    float *products = malloc((size_t)(n + 1) * sizeof(float));
    uint64_t *keys = malloc((size_t)(n + 1) * 2 * sizeof(uint64_t));
    int64_t found = KB_NO_MEMORY;
    if (products && keys && !(found = kb_dots(matrix, height, width, rows, n, vector, products))) {
        float edge = n > 4 * k ? edge_of(products, n, k) : -INFINITY;
        int64_t count = 0;
        for (int64_t i = 0; i < n; i++)
            if (!(products[i] < edge)) keys[count++] = kb_key(products[i], (uint32_t)rows[i]);
        kb_sort(keys, count, keys + count);
        found = k < count ? k : count;
        for (int64_t i = 0; i < found; i++) {
            uint32_t bits = (uint32_t)(keys[i] >> 32);
            bits = bits >> 31 ? bits : ~bits & 0x7FFFFFFFu;
            memcpy(scores + i, &bits, sizeof bits);
            best[i] = (uint32_t)keys[i];
        }
    }
    free(products);
    free(keys);
    return found;
}

/* The k rows of a part that are nearest to a vector of length 1, exactly: score descending, row ascending.
 * `rows` are those of the part, ascending, with their vectors in `matrix`; `allowed` (or NULL) has a byte for each.
 * Every row is compared by its code; those that may belong to the best, by what their codes leave open, exactly. */
KB_HIDDEN int64_t kb_nearest(const kb_codes *part, const int64_t *rows, const uint8_t *allowed, const float *matrix,
                   int64_t height, int64_t width, const float *vector, int64_t k, int64_t *best, float *scores) {
    int64_t n = part->n, found = KB_NO_MEMORY, count = 0;
    if (k < 1) return 0;
    int16_t *steps = malloc((size_t)width * sizeof(int16_t));
    int32_t *sums = malloc((size_t)(n + 1) * sizeof(int32_t));
    float *about = malloc((size_t)(n + 1) * sizeof(float));
    int64_t *chosen = malloc((size_t)(n + 1) * sizeof(int64_t));
    uint8_t *may = malloc((size_t)n + 8);
    if (!steps || !sums || !about || !chosen || !may) goto end;
    double step = kb_in_steps(vector, part->steps, width, MOST, steps), offset = 0, length = 0, lost = 0;
    for (int64_t i = 0; i < width; i++) {
        double rest = part->steps[i] > 0 ? vector[i] - step * steps[i] / part->steps[i] : 0;
        offset += (double)vector[i] * part->centre[i];
        length += (double)vector[i] * vector[i];
        lost += rest * rest;
    }
    /* A row less the centre is no longer than 2, and its code by its error more; the rest is for the sums of floats. */
    double slack = 2.01 * sqrt(lost) + 6e-6;
    double reach = (sqrt(length) + sqrt(lost)) * 1.000001;
    dots_of_codes(part->codes, n, width, steps, sums);
    int64_t edge = kb_edge_of_sums(sums, allowed, n, k), places = kb_places_from(sums, n, edge, may, chosen);
    for (int64_t i = 0; i < places; i++)
        if (!allowed || allowed[chosen[i]]) chosen[count++] = rows[chosen[i]];
    found = kb_best(matrix, height, width, chosen, count, vector, k, best, scores);
    if (found < k) goto end;
    double least = scores[k - 1] - slack - offset;
    /* What has less than this cannot reach it. */
    double from = step > 0 ? floor((least - reach * part->farthest) / step) : -INFINITY;
    places = kb_places_from(sums, n, from > INT32_MIN ? (from < INT32_MAX ? (int64_t)from : INT32_MAX) : INT32_MIN, may, chosen);
    count = 0;
    for (int64_t p = 0; p < places; p++) {
        int64_t i = chosen[p];
        if (sums[i] < edge && step * sums[i] + reach * part->errors[i] >= least && (!allowed || allowed[i]))
            chosen[count++] = rows[i];
    }
    int64_t others = count; /* none of these is among the first k: they were below the edge */
    if (kb_dots(matrix, height, width, chosen, others, vector, about)) { found = KB_CORRUPT; goto end; }
    count = 0;
    for (int64_t i = 0; i < others; i++)
        if (about[i] >= scores[k - 1]) chosen[count++] = chosen[i];
    if (count) {
        memcpy(chosen + count, best, (size_t)k * sizeof *best);
        found = kb_best(matrix, height, width, chosen, count + k, vector, k, best, scores);
    }
end:
    free(steps);
    free(sums);
    free(about);
    free(chosen);
    free(may);
    return found;
}
