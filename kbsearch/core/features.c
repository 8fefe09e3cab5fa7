/* Features of articles, as kbsearch/features.py names them. */

#include <math.h>
#include <stdlib.h>

#include "core.h"

static void merge(const uint64_t *from, int64_t middle, int64_t end, uint64_t *to) {
    for (int64_t a = 0, b = middle, i = 0; i < end; i++)
        to[i] = b >= end || (a < middle && from[a] <= from[b]) ? from[a++] : from[b++];
}

/* Ascending. A few by runs of insertion, then merged; more byte by byte, where keys differ at all, for a comparison whose
 * outcome nobody can foresee costs a processor as much as twenty steps. */
KB_HIDDEN void kb_sort(uint64_t *keys, int64_t n, uint64_t *scratch) {
    enum { RUN = 8, FEW = 64, BYTE = 256 };
    uint64_t *from = keys, *to = scratch, *swap, varies = 0;
    if (n < FEW) {
        for (int64_t start = 0; start < n; start += RUN)
            for (int64_t i = start + 1; i < n && i < start + RUN; i++) {
                uint64_t key = keys[i];
                int64_t at = i;
                for (; at > start && keys[at - 1] > key; at--) keys[at] = keys[at - 1];
                keys[at] = key;
            }
        for (int64_t run = RUN; run < n; run *= 2) {
            for (int64_t start = 0; start < n; start += 2 * run) {
                int64_t end = n - start < 2 * run ? n - start : 2 * run;
                merge(from + start, run < end ? run : end, end, to + start);
            }
            swap = from, from = to, to = swap;
        }
    } else {
        for (int64_t i = 1; i < n; i++) varies |= keys[i] ^ keys[0];
        for (int shift = 0; shift < 64; shift += 8) {
            if (!(varies >> shift & (BYTE - 1))) continue;
            int64_t places[BYTE] = {0}, next = 0;
            for (int64_t i = 0; i < n; i++) places[from[i] >> shift & (BYTE - 1)]++;
            for (int digit = 0; digit < BYTE; digit++) {
                int64_t count = places[digit];
                places[digit] = next;
                next += count;
            }
            for (int64_t i = 0; i < n; i++) to[places[from[i] >> shift & (BYTE - 1)]++] = from[i];
            swap = from, from = to, to = swap;
        }
    }
    if (from != keys) memcpy(keys, from, (size_t)n * sizeof *keys);
}

/* 1 / (10 + rank among the m values), written into one column of the features. */
static void standing(const float *values, int64_t m, uint64_t *order, float *column, int64_t stride) {
    for (int64_t i = 0; i < m; i++) order[i] = kb_key(values[i], (uint32_t)i);
    kb_sort(order, m, order + m);
    for (int64_t i = 0; i < m; i++) column[(uint32_t)order[i] * stride] = (float)(1.0 / (10.0 + (double)i));
}

static float highest(const float *values, int64_t m) {
    float best = values[0];
    for (int64_t i = 1; i < m; i++) best = values[i] > best ? values[i] : best;
    return best;
}

/* The features of m articles from those of their n rows. `group` is the place of each row's article among the m;
 * features: m * 33. `scratch` has room for 8 * m floats. */
int kb_features(int64_t n, int64_t m, const int64_t *group, const float *words, const float *grams, const float *dense,
                const float *cover, const float *reverse, const float *titles, const uint8_t *japanese,
                const kb_scale *scale, float *scratch, float *features) {
    if (m == 0) return 0;
    float *cosine = scratch, *second = cosine + m, *word = second + m, *gram = word + m, *raw = gram + m,
          *title = raw + m, *language = title + m;
    uint64_t *order = malloc((size_t)m * 2 * sizeof(uint64_t));
    if (!order) return KB_NO_MEMORY;
    memset(features, 0, (size_t)(m * KB_FEATURES) * sizeof(float));
    for (int64_t i = 0; i < m; i++) {
        cosine[i] = second[i] = raw[i] = -INFINITY;
        word[i] = gram[i] = 0;
    }
    for (int64_t r = 0; r < n; r++) {
        int64_t i = group[r];
        if (i < 0 || i >= m) { free(order); return KB_CORRUPT; }
        float here = (dense[r] - scale->cosine_mean) / scale->cosine_spread;
        if (here > cosine[i]) {
            second[i] = cosine[i];
            cosine[i] = here;
        } else if (here > second[i]) {
            second[i] = here;
        }
        raw[i] = dense[r] > raw[i] ? dense[r] : raw[i];
        float share = words[r] / scale->words_ceiling;
        word[i] = share > word[i] ? share : word[i];
        share = grams[r] / scale->grams_ceiling;
        gram[i] = share > gram[i] ? share : gram[i];
        float *own = features + i * KB_FEATURES;
        for (int k = 0; k < KB_FIELDS; k++) {
            float here_cover = cover[KB_FIELDS * r + k], here_reverse = reverse[KB_FIELDS * r + k];
            own[7 + k] = here_cover > own[7 + k] ? here_cover : own[7 + k];
            own[13 + k] = here_reverse > own[13 + k] ? here_reverse : own[13 + k];
        }
    }
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < m; i++) {
        title[i] = (titles[i] - scale->title_mean) / scale->title_spread;
        int script = japanese[i] != 0;
        language[i] = (raw[i] - scale->background_mean[script]) / scale->background_spread[script];
        sum += cosine[i];
    }
    double mean = sum / (double)m;
    for (int64_t i = 0; i < m; i++) squares += (cosine[i] - mean) * (cosine[i] - mean);
    float deviation = (float)sqrt(squares / (double)m);
    float best_cosine = highest(cosine, m), best_word = highest(word, m), best_gram = highest(gram, m),
          best_title = highest(title, m), best_language = highest(language, m);
    for (int64_t i = 0; i < m; i++) {
        float *own = features + i * KB_FEATURES;
        own[0] = cosine[i];
        own[1] = cosine[i] - best_cosine;
        own[2] = isinf(second[i]) ? 0 : second[i] - cosine[i];
        own[3] = word[i];
        own[4] = gram[i];
        own[5] = word[i] - best_word;
        own[6] = gram[i] - best_gram;
        own[22] = (float)((japanese[i] != 0) == (scale->asks_japanese != 0));
        own[23] = scale->japanese;
        own[24] = scale->terms;
        own[25] = best_word;
        own[26] = best_gram;
        own[27] = best_cosine;
        own[28] = deviation;
        own[29] = title[i];
        own[30] = title[i] - best_title;
        own[31] = language[i];
        own[32] = language[i] - best_language;
    }
    standing(word, m, order, features + 19, KB_FEATURES);
    standing(gram, m, order, features + 20, KB_FEATURES);
    standing(cosine, m, order, features + 21, KB_FEATURES);
    free(order);
    return 0;
}
