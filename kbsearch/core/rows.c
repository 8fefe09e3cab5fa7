/* Which rows of an article are shown: the best ones by all legs together, each with another text. */

#include <math.h>
#include <stdlib.h>

#include "core.h"

enum { LOOKED_AT = 6 }; /* of an article; aliases among them show a passage that may be there already */

static const float LEXICAL = .55f, LEAST_SPREAD = .02f; /* as kbsearch/rank.py says */

static float coverage(float score, float ceiling) {
    float share = ceiling > 0 ? score / ceiling : 0;
    return share * sqrtf(share);
}

/* The scores of kbsearch/rank.py for all legs together. */
static void fuse(const kb_pooled *pool, float *scores) {
    const float *words = pool->scores, *grams = words + pool->n, *dense = grams + pool->n;
    float low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < pool->n; i++) {
        low = dense[i] < low ? dense[i] : low;
        high = dense[i] > high ? dense[i] : high;
    }
    float spread = high - low > LEAST_SPREAD ? high - low : LEAST_SPREAD;
    for (int64_t i = 0; i < pool->n; i++) {
        float lexical = (coverage(words[i], pool->words_ceiling) + coverage(grams[i], pool->grams_ceiling)) / 2;
        scores[i] = LEXICAL * lexical + (1 - LEXICAL) * ((dense[i] - low) / spread);
    }
}

/* Number of the text that a row shows. */
static int64_t body_of(const kb_corpus *corpus, int64_t row, uint32_t *body) {
    int second = row >= corpus->parts[0].rows;
    const kb_tokens *tokens = corpus->parts[second].tokens;
    int64_t own = row - (second ? corpus->parts[0].rows : 0);
    if (!tokens || own < 0 || own >= tokens->n_rows) return KB_CORRUPT;
    *body = tokens->rows[own].body;
    return 0;
}

/* The best rows of k articles of a pool, at most `most` of each, score descending, row ascending.
 * begins: where the rows of each article of the pool begin, and where the last ones end; places: k, of the articles.
 * given: n scores of the rows, or NULL for all legs together.
 * best, scores: k * most, places in the pool and scores, one article behind the other; ends: k, where each one's end. */
int64_t kb_best_rows(const kb_corpus *corpus, const kb_pooled *pool, const float *given, const int64_t *begins,
                     const int64_t *places, int64_t k, int64_t most, int64_t *best, float *scores, int64_t *ends) {
    int64_t count = 0, failed = KB_NO_MEMORY;
    float *fused = given ? NULL : malloc((size_t)(pool->n + 1) * sizeof *fused);
    uint64_t *keys = malloc((size_t)(pool->n + 1) * 2 * sizeof *keys);
    if (!keys || !(given || fused)) goto end;
    failed = 0;
    if (!given) fuse(pool, fused);
    const float *all = given ? given : fused;
    for (int64_t article = 0; article < k; article++) {
        int64_t from = begins[places[article]], n = begins[places[article] + 1] - from, first = count;
        uint32_t shown[LOOKED_AT];
        failed = from < 0 || n < 0 || from + n > pool->n ? KB_CORRUPT : 0;
        if (failed) goto end;
        for (int64_t i = 0; i < n; i++) keys[i] = kb_key(all[from + i], (uint32_t)i);
        kb_sort(keys, n, keys + n);
        for (int64_t i = 0; i < n && i < LOOKED_AT && count - first < most; i++) {
            int64_t place = from + (uint32_t)keys[i], other = first;
            uint32_t body;
            if ((failed = body_of(corpus, pool->rows[place], &body))) goto end;
            while (other < count && shown[other - first] != body) other++;
            if (other < count) continue;
            shown[count - first] = body;
            scores[count] = all[place];
            best[count++] = place;
        }
        ends[article] = count;
    }
end:
    free(fused);
    free(keys);
    return failed ? failed : count;
}
