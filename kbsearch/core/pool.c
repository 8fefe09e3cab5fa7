/* From the rows that any leg proposes to the order of their articles: two calls for a question. */

#include <math.h>
#include <stdlib.h>

#include "core.h"

enum { ENOUGH_FOR_TWO = 128, FEW_SAMPLED = 30, TIES = 3, CHOICES = 5, CROWD = 10, LEADS = 4, AHEAD = 4, LINE = 64 };

static const float LEAST_SPREAD = 0.003f, BEHIND = 1e-4f;
static const double TIE_WEIGHT = 1e-3;
static const int TIE_BREAKERS[TIES] = {0, 3, 4};     /* cosine, words, grams */
static const int LEAD_PLACES[LEADS] = {0, 3, 4, 29}; /* and the title's cosine */
static const int COSINE = 0, HEADING_GRAMS = 10;

/* How many of n ascending numbers are below a limit. */
static int64_t below(const int64_t *numbers, int64_t n, int64_t limit) {
    int64_t count = 0;
    while (count < n && numbers[count] < limit) count++;
    return count;
}

static void raise_to(float *values, const float *others, int64_t n, float unit) {
    for (int64_t i = 0; i < n; i++) {
        float other = others[i] * unit;
        values[i] = other > values[i] ? other : values[i];
    }
}

/* One way of asking, to be compared with the rows from `from` to `to` of n. room: 15 floats a row, for words, grams,
 * cosines, cover and reverse. */
typedef struct {
    const kb_corpus *corpus;
    const kb_way *way;
    const int64_t *rows;
    int64_t from, to, n, *shifted;
    float *room;
} kb_compared;

static int64_t compare(void *given) {
    const kb_compared *here = given;
    const kb_corpus *corpus = here->corpus;
    const kb_way *way = here->way;
    int64_t size = here->to - here->from, first = below(here->rows + here->from, size, corpus->parts[0].rows);
    float *words = here->room, *grams = words + here->n, *dense = grams + here->n, *cover = dense + here->n,
          *reverse = cover + KB_FIELDS * here->n;
    for (int second = 0; second < 2; second++) {
        const kb_part *part = corpus->parts + second;
        int64_t from = here->from + (second ? first : 0), count = second ? size - first : first;
        if (!count) continue;
        if (!part->tokens) return KB_CORRUPT;
        int64_t *shifted = here->shifted + from;
        for (int64_t i = 0; i < count; i++) shifted[i] = here->rows[from + i] - (second ? corpus->parts[0].rows : 0);
        int failed = kb_describe(part->tokens, way->terms, shifted, count, words + from, grams + from,
                                 cover + KB_FIELDS * from, reverse + KB_FIELDS * from);
        if (!failed && way->vector)
            failed = kb_dots(part->vectors, part->rows, corpus->width, shifted, count, way->vector, dense + from);
        if (failed) return failed;
    }
    return 0;
}

/* The same of all rows: of many, the helper takes the last ones, a little less than half, for it begins later. */
static int64_t compare_all(const kb_compared *all) {
    kb_compared own = *all, others = *all;
    kb_job job = {.work = compare, .given = &others};
    if (all->n < ENOUGH_FOR_TWO) return compare(&own);
    own.to = others.from = all->n * 9 / 16;
    kb_begin(&job);
    int64_t failed = compare(&own), failed_there = kb_end(&job);
    return failed ? failed : failed_there;
}

/* What the proposals, n rows in any order, have in common with a question in all its ways; a row has the best of them.
 * `rows` becomes the distinct proposals, ascending. Answers how many; `scores` is the room of compare, so much of it. */
int64_t kb_pool(const kb_corpus *corpus, const kb_way *ways, int64_t n_ways, int64_t *rows, int64_t n, float *scores) {
    uint64_t *keys = malloc((size_t)(n + 1) * 2 * sizeof(uint64_t));
    float *more = n_ways > 1 ? malloc((size_t)(n + 1) * (3 + 2 * KB_FIELDS) * sizeof(float)) : NULL;
    int64_t m = 0, failed = keys && (more || n_ways < 2) ? 0 : KB_NO_MEMORY;
    if (!failed) {
        for (int64_t i = 0; i < n; i++) keys[i] = (uint64_t)rows[i];
        kb_sort(keys, n, keys + n);
        for (int64_t i = 0; i < n; i++)
            if (!m || (int64_t)keys[i] != rows[m - 1]) rows[m++] = (int64_t)keys[i];
        memset(scores, 0, (size_t)m * (3 + 2 * KB_FIELDS) * sizeof(float));
    }
    for (int64_t way = 0; way < n_ways && !failed; way++) {
        float *into = way ? more : scores;
        failed = compare_all(&(kb_compared){corpus, ways + way, rows, 0, m, m, (int64_t *)keys, into});
        if (failed || !way) continue;
        raise_to(scores, more, m, ways[way].words_unit);
        raise_to(scores + m, more + m, m, ways[way].grams_unit);
        if (ways[way].vector) raise_to(scores + 2 * m, more + 2 * m, m, 1);
        raise_to(scores + 3 * m, more + 3 * m, 2 * KB_FIELDS * m, 1);
    }
    free(keys);
    free(more);
    return failed ? failed : m;
}

/* What a question is to its corpus, beside its ways. */
typedef struct {
    float words_ceiling, grams_ceiling;
    float japanese;
    int32_t asks_japanese;
    float terms;
    int64_t untitled; /* an article that is judged as if its title were like any other; -1 for none */
    int64_t withheld; /* a heading of the first part that is judged as if it were not there; -1 for none */
} kb_asking;

typedef struct {
    const kb_forest *ranker, *first, *few; /* or NULL */
} kb_models;

/* Cosine of the question and each title alone, in the way that is nearest. */
static int titles_of(const kb_corpus *corpus, const kb_way *ways, int64_t n_ways, const kb_asking *asking,
                     const int64_t *numbers, int64_t m, int64_t *shifted, float *more, float *titles) {
    int64_t first = below(numbers, m, corpus->parts[0].articles);
    for (int64_t i = 0; i < m; i++) {
        shifted[i] = numbers[i] - (i < first ? 0 : corpus->parts[0].articles);
        titles[i] = -INFINITY;
    }
    for (int64_t way = 0; way < n_ways; way++) {
        if (!ways[way].vector) continue;
        for (int part = 0; part < 2; part++) {
            const kb_part *here = corpus->parts + part;
            int64_t from = part ? first : 0, count = part ? m - first : first;
            int failed = count && here->titles ? kb_dots(here->titles, here->articles, corpus->width, shifted + from,
                                                         count, ways[way].vector, more + from)
                                               : -(count > 0);
            if (failed) return failed;
        }
        raise_to(titles, more, m, 1);
    }
    for (int64_t i = 0; i < m; i++)
        if (numbers[i] == asking->untitled) titles[i] = corpus->title_mean;
    return 0;
}

/* The heading of a row, -1 where there is none; anything less: damage. */
static int64_t heading_of(const kb_corpus *corpus, int64_t row, const kb_headings **headings) {
    int second = row >= corpus->parts[0].rows;
    *headings = corpus->parts[second].headings;
    if (!*headings) return -1;
    row -= second ? corpus->parts[0].rows : 0;
    int64_t at = row >= 0 && row < (*headings)->rows ? (*headings)->of_row[row] : -2;
    return at < (*headings)->n && (*headings)->width == corpus->width ? at : -2;
}

/* Raises the cosine of an article's title to that of the nearest heading above one of its n rows. */
static int headings_of(const kb_corpus *corpus, const kb_way *ways, int64_t n_ways, const kb_asking *asking,
                       const int64_t *rows, int64_t n, const int64_t *group, float *titles) {
    const kb_headings *headings, *before = NULL;
    for (int64_t r = 0, last = -1; r < n; r++) {
        if (r + AHEAD < n) { /* codes lie all over the file */
            int64_t next = heading_of(corpus, rows[r + AHEAD], &headings);
            for (int64_t i = 0; next >= 0 && i < corpus->width; i += LINE)
                __builtin_prefetch(headings->codes + next * corpus->width + i);
        }
        int64_t at = heading_of(corpus, rows[r], &headings);
        if (at < -1) return KB_CORRUPT;
        int is_known = r && headings == before && at == last && group[r] == group[r - 1]; /* rows of one section */
        last = at, before = headings;
        if (at < 0 || is_known || (headings == corpus->parts[0].headings && at == asking->withheld)) continue;
        for (int64_t way = 0; way < n_ways; way++) {
            if (!ways[way].vector) continue;
            float cosine;
            kb_products(headings->codes + at * headings->width, 1, headings->width, ways[way].vector, &cosine);
            cosine *= headings->scales[at];
            if (!isfinite(cosine)) return KB_CORRUPT;
            if (cosine > titles[group[r]]) titles[group[r]] = cosine;
        }
    }
    return 0;
}

/* Of the versions of one article in several languages, the one in the question's script has the best score of all, and
 * the others stand right behind it. first: 0 for these, for a translation is no rival that makes an answer unsure. */
static void own_language_first(const kb_corpus *corpus, const kb_asking *asking, const int64_t *numbers, int64_t m,
                               uint64_t *keys, float *scores, uint8_t *first) {
    memset(first, 1, (size_t)m);
    for (int64_t i = 0; i < m; i++)
        keys[i] = (uint64_t)(uint32_t)corpus->group[numbers[i]] << 32 | (uint32_t)i;
    kb_sort(keys, m, keys + m);
    for (int64_t from = 0, to; from < m; from = to) {
        for (to = from + 1; to < m && keys[to] >> 32 == keys[from] >> 32;) to++;
        if (to == from + 1) continue;
        float best = -INFINITY;
        uint64_t *versions = keys + m; /* by script, then by score, then by place */
        int64_t own = 0, n = 0;
        for (int turn = 0; turn < 2; turn++) {
            own = n;
            for (int64_t k = from; k < to; k++) {
                uint32_t i = (uint32_t)keys[k];
                best = scores[i] > best ? scores[i] : best;
                if (((corpus->japanese[numbers[i]] != 0) == (asking->asks_japanese != 0)) == !turn)
                    versions[n++] = kb_key(scores[i], i);
            }
            kb_sort(versions + own, n - own, versions + (to - from));
        }
        for (int64_t k = 0; k < n; k++) {
            uint32_t i = (uint32_t)versions[k];
            if (k) first[i] = 0;
            scores[i] = best - (float)k * BEHIND;
        }
    }
}

/* The head of a ranking, as kbsearch/confidence.py names its features. order: places of the articles, best first. */
static void head_of(const float *features, const float *scores, const uint8_t *counts, const int64_t *order, int64_t m,
                    uint64_t *keys, float *head) {
    const int64_t own = KB_FEATURES;
    int64_t top[CROWD], n = 0, all = 0;
    double cosines = 0, lead = 0, nearest = 0;
    float heading = 0;
    for (int64_t k = 0; k < m; k++) {
        int64_t i = order[k];
        if (!counts[i]) continue;
        if (n < CROWD) top[n++] = i;
        const float *here = features + i * own;
        cosines += here[COSINE];
        heading = here[HEADING_GRAMS] > heading ? here[HEADING_GRAMS] : heading;
        keys[all++] = kb_key(here[COSINE], (uint32_t)i);
    }
    kb_sort(keys, all, keys + m);
    for (int64_t k = 0; k < n; k++) {
        lead += scores[top[k]];
        nearest += features[(uint32_t)keys[k] * own + COSINE];
    }
    const float *best = features + top[0] * own, *second = features + top[n > 1 ? 1 : 0] * own;
    float score = scores[top[0]], *rest = head + own;
    memcpy(head, best, (size_t)own * sizeof *head);
    rest[0] = score;
    rest[1] = score - scores[top[n > 1 ? 1 : 0]];
    rest[2] = score - scores[top[n < CHOICES ? n - 1 : CHOICES - 1]];
    rest[3] = score - (float)(lead / (double)n);
    for (int k = 0; k < LEADS; k++) rest[4 + k] = best[LEAD_PLACES[k]] - second[LEAD_PLACES[k]];
    rest[8] = (float)(nearest / (double)n - cosines / (double)all);
    rest[9] = heading;
}

/* The articles of n rows, ascending, as kb_pool describes them; answers how many, m.
 * numbers, begins: m and m + 1: the articles, and where the rows of each begin. features: m * 33.
 * With a ranker: raw, scores: m, log-odds as it gives them, and with the versions of one article in their order;
 * chances: m, the probabilities of scores; order: m, places from best to worst. With the other models: head: 43; odds: 2,
 * of the first article and of one of the first few. Every array has room for n. */
int64_t kb_judge(const kb_corpus *corpus, const kb_way *ways, int64_t n_ways, const kb_asking *asking,
                 const kb_pooled *pool, const kb_models *models, int64_t *numbers, int64_t *begins, float *features,
                 float *raw, float *scores, float *chances, int64_t *order, float *head, double *odds) {
    const int64_t *rows = pool->rows, n = pool->n;
    if (!n || !n_ways || !ways[0].vector) return 0;
    int64_t m = 0, failed = KB_NO_MEMORY;
    int64_t *group = malloc((size_t)n * sizeof *group);
    uint64_t *keys = malloc((size_t)n * 3 * sizeof *keys);
    float *room = malloc((size_t)n * 10 * sizeof *room);
    uint8_t *flags = malloc((size_t)n * 2);
    double *sums = malloc((size_t)n * sizeof *sums);
    if (!group || !keys || !room || !flags || !sums) goto end;
    failed = KB_CORRUPT;
    for (int64_t r = 0; r < n; r++) {
        if (rows[r] < 0 || rows[r] >= corpus->rows) goto end;
        int64_t article = corpus->article_of_row[rows[r]];
        if (article < 0 || article >= corpus->articles) goto end;
        if (!m || article != numbers[m - 1]) { /* rows ascend, and those of an article stand together */
            begins[m] = r;
            flags[m] = corpus->japanese[article];
            numbers[m++] = article;
        }
        group[r] = m - 1;
    }
    begins[m] = n;
    kb_scale scale = {
        asking->words_ceiling > 0 ? asking->words_ceiling : 1, asking->grams_ceiling > 0 ? asking->grams_ceiling : 1,
        corpus->cosine_mean, corpus->cosine_spread, corpus->title_mean, corpus->title_spread,
        {corpus->cosine_mean, corpus->cosine_mean}, {corpus->cosine_spread, corpus->cosine_spread},
        asking->japanese, asking->asks_japanese, asking->terms,
    };
    for (int script = 0; script < 2; script++) {
        float *mean = scale.background_mean + script, *spread = scale.background_spread + script;
        if (corpus->sampled[script] < FEW_SAMPLED) continue;
        if ((failed = kb_background(corpus->samples[script], corpus->sampled[script], corpus->width,
                                    corpus->sample_step, ways[0].vector, mean, spread))) goto end;
        *spread = *spread > LEAST_SPREAD ? *spread : LEAST_SPREAD;
    }
    float *titles = room, *more = room + n, *scratch = more + n;
    if ((failed = titles_of(corpus, ways, n_ways, asking, numbers, m, (int64_t *)keys, more, titles))) goto end;
    if ((failed = headings_of(corpus, ways, n_ways, asking, rows, n, group, titles))) goto end;
    const float *words = pool->scores, *cover = words + 3 * n;
    failed = kb_features(n, m, group, words, words + n, words + 2 * n, cover, cover + KB_FIELDS * n, titles, flags, &scale,
                         scratch, features);
    if (failed || !models->ranker) goto end;
    if ((failed = kb_trees(models->ranker, features, m, sums))) goto end;
    for (int64_t i = 0; i < m; i++) {
        const float *own = features + i * KB_FEATURES;
        double ties = 0;
        for (int k = 0; k < TIES; k++) ties += own[TIE_BREAKERS[k]];
        raw[i] = scores[i] = (float)(sums[i] + ties * TIE_WEIGHT);
    }
    own_language_first(corpus, asking, numbers, m, keys, scores, flags);
    for (int64_t i = 0; i < m; i++) {
        chances[i] = (float)(1 / (1 + exp(-(double)scores[i])));
        keys[i] = kb_key(scores[i], (uint32_t)i);
    }
    kb_sort(keys, m, keys + m);
    for (int64_t i = 0; i < m; i++) order[i] = (uint32_t)keys[i];
    head_of(features, scores, flags, order, m, keys, head);
    if (models->first && !(failed = kb_trees(models->first, head, 1, odds)))
        failed = kb_trees(models->few, head, 1, odds + 1);
end:
    free(group);
    free(keys);
    free(room);
    free(flags);
    free(sums);
    return failed ? failed : m;
}

/* Raised with whatever changes a signature: kbsearch/native.py refuses a library of another number. */
int kb_version(void) { return 10; }
