/* The inner loops of a query: what a pool of passages has in common with a question, what the learned ranking makes of
 * it, and where a question's terms stand in a passage.
 *
 * Plain C without Python's headers, called through kbsearch/native.py, which says what the arrays are. Every function
 * takes pointers to arrays of stated sizes and works on no global state, so any number of threads may be inside at once;
 * ctypes lets go of the interpreter's lock meanwhile. Files may be damaged: whatever was read from one is checked before
 * it is followed, and a function answers KB_CORRUPT instead of reading elsewhere.
 *
 * Never: allocate what the caller can bring; print; depend on the order of floating-point sums that a compiler may change.
 */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define KB_CORRUPT (-1)
#define KB_NO_MEMORY (-2)

/* One build for every machine of an architecture: the loader takes the widest vectors that the processor has. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__gnu_linux__)
#define KB_WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define KB_WIDE
#endif

/* ---- The tokens of all texts, as kbsearch/tokens.py writes them ------------------------------------------------- */

typedef struct {
    const uint32_t *ids;      /* hash of each token's term */
    const uint16_t *starts;   /* first character of each token */
    const uint8_t *lengths;   /* characters of each token */
    const int64_t *ends;      /* 2 * texts + 1: where the words and the grams of each text begin */
    const uint32_t *distinct; /* 2 * texts: how many different words and grams each has */
    const int64_t *part_ends; /* rows + 1: where the parts of each row begin */
    const uint32_t *part_texts;
    const uint32_t *part_weights;
    const uint32_t *slots;   /* 3 * rows: texts of title, last heading and alias */
    const uint32_t *bodies;  /* rows: the text that is shown */
    const uint32_t *lengths_of_rows; /* 2 * rows: BM25's document lengths */
    int64_t tokens, texts, parts, rows;
} kb_tokens;

typedef struct {
    const uint32_t *ids;     /* distinct terms of the question */
    const float *idf;
    const float *boost;      /* how often BM25 counts each; 0 for a term too common to be asked */
    const uint8_t *flags;    /* KB_GRAM, KB_ASCII */
    int64_t n;
    float mean_length[2];    /* of a row, words and grams */
    float k1, b;
} kb_question;

enum { KB_GRAM = 1, KB_ASCII = 2 };

typedef struct {
    uint64_t seen[1024]; /* one bit for each value of a hash's low half: nearly all tokens end here */
    uint32_t mask;
    int32_t *table; /* place of a term, or -1 */
} kb_lookup;

static int lookup_open(kb_lookup *lookup, const kb_question *question) {
    uint32_t size = 16;
    while (size < 2 * (uint64_t)question->n) size *= 2;
    lookup->table = malloc(size * sizeof(int32_t));
    if (!lookup->table) return KB_NO_MEMORY;
    memset(lookup->table, -1, size * sizeof(int32_t));
    memset(lookup->seen, 0, sizeof lookup->seen);
    lookup->mask = size - 1;
    for (int64_t i = 0; i < question->n; i++) {
        uint32_t id = question->ids[i], place = id & lookup->mask;
        while (lookup->table[place] >= 0) place = (place + 1) & lookup->mask;
        lookup->table[place] = (int32_t)i;
        lookup->seen[(id & 0xFFFF) >> 6] |= 1ull << (id & 63);
    }
    return 0;
}

static inline int32_t lookup_find(const kb_lookup *lookup, const kb_question *question, uint32_t id, int gram) {
    if (!(lookup->seen[(id & 0xFFFF) >> 6] >> (id & 63) & 1)) return -1;
    for (uint32_t place = id & lookup->mask; lookup->table[place] >= 0; place = (place + 1) & lookup->mask) {
        int32_t i = lookup->table[place];
        if (question->ids[i] == id && (question->flags[i] & KB_GRAM) == gram) return i;
    }
    return -1;
}

static int region(const kb_tokens *tokens, uint32_t text, int gram, int64_t *first, int64_t *last) {
    if (text >= tokens->texts) return KB_CORRUPT;
    *first = tokens->ends[2 * (int64_t)text + gram];
    *last = tokens->ends[2 * (int64_t)text + gram + 1];
    return *first >= 0 && *first <= *last && *last <= tokens->tokens ? 0 : KB_CORRUPT;
}

/* BM25 of each row in both streams, and what title, heading and alias share with the question.
 * words, grams: rows; cover, reverse: rows * 6, in the order of tokens.SLOTS. */
int kb_describe(const kb_tokens *tokens, const kb_question *question, const int64_t *rows, int64_t n, float *words,
                float *grams, float *cover, float *reverse) {
    kb_lookup lookup;
    int failed = lookup_open(&lookup, question);
    if (failed) return failed;
    uint64_t *counts = calloc((size_t)question->n + 1, sizeof(uint64_t));
    int32_t *touched = malloc(((size_t)question->n + 1) * sizeof(int32_t));
    if (!counts || !touched) failed = KB_NO_MEMORY;
    double total[2] = {0, 0};
    for (int64_t i = 0; i < question->n; i++) total[question->flags[i] & KB_GRAM] += question->idf[i];
    float *bm25[2] = {words, grams};
    for (int64_t r = 0; r < n && !failed; r++) {
        int64_t row = rows[r];
        if (row < 0 || row >= tokens->rows) { failed = KB_CORRUPT; break; }
        int64_t from = tokens->part_ends[row], to = tokens->part_ends[row + 1];
        if (from < 0 || from > to || to > tokens->parts) { failed = KB_CORRUPT; break; }
        for (int gram = 0; gram < 2 && !failed; gram++) {
            int32_t found = 0;
            for (int64_t part = from; part < to; part++) {
                int64_t first, last;
                if ((failed = region(tokens, tokens->part_texts[part], gram, &first, &last))) break;
                uint32_t weight = tokens->part_weights[part];
                if (!weight) continue; /* no writer writes one: a term would be touched again and again */
                for (int64_t token = first; token < last; token++) {
                    int32_t i = lookup_find(&lookup, question, tokens->ids[token], gram);
                    if (i < 0) continue;
                    if (!counts[i]) touched[found++] = i;
                    counts[i] += weight;
                }
            }
            double length = tokens->lengths_of_rows[2 * row + gram], mean = question->mean_length[gram];
            double norm = question->k1 * (1 - question->b + question->b * length / (mean > 0 ? mean : 1));
            double score = 0;
            for (int32_t k = 0; k < found; k++) {
                int32_t i = touched[k];
                score += (double)question->idf[i] * question->boost[i] * (1 + question->k1) * (double)counts[i] / ((double)counts[i] + norm);
                counts[i] = 0;
            }
            bm25[gram][r] = (float)score;
        }
        for (int slot = 0; slot < 3 && !failed; slot++) {
            uint32_t text = tokens->slots[3 * row + slot];
            for (int gram = 0; gram < 2; gram++) {
                int64_t first, last;
                int32_t found = 0;
                double mass = 0;
                if ((failed = region(tokens, text, gram, &first, &last))) break;
                for (int64_t token = first; token < last; token++) {
                    int32_t i = lookup_find(&lookup, question, tokens->ids[token], gram);
                    if (i < 0 || counts[i]) continue;
                    counts[i] = 1;
                    touched[found++] = i;
                    mass += question->idf[i];
                }
                for (int32_t k = 0; k < found; k++) counts[touched[k]] = 0;
                uint32_t terms = tokens->distinct[2 * (int64_t)text + gram];
                cover[6 * r + 2 * slot + gram] = (float)(total[gram] > 0 ? mass / total[gram] : 0);
                reverse[6 * r + 2 * slot + gram] = (float)found / (float)(terms ? terms : 1);
            }
        }
    }
    free(counts);
    free(touched);
    free(lookup.table);
    return failed;
}

typedef struct {
    int32_t start, end, term;
} kb_match;

static int by_place(const void *a, const void *b) {
    const kb_match *x = a, *y = b;
    if (x->start != y->start) return x->start < y->start ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return (x->term > y->term) - (x->term < y->term);
}

/* Where the question's terms stand in the bodies of some rows: words, and grams where no matched word lies and two
 * grams in a row agree (a single pair of characters is chance, a word in Latin letters is not).
 * matches: `room` of them at most, in the order of the rows, then of the places; ends: rows, where those of each end.
 * Answers how many there are. */
int64_t kb_matches(const kb_tokens *tokens, const kb_question *question, const int64_t *rows, int64_t n,
                   kb_match *matches, int64_t room, int64_t *ends) {
    kb_lookup lookup;
    int64_t failed = lookup_open(&lookup, question), count = 0;
    for (int64_t r = 0; r < n && !failed; r++) {
        int64_t begin = count, first, last;
        if (rows[r] < 0 || rows[r] >= tokens->rows) { failed = KB_CORRUPT; break; }
        uint32_t text = tokens->bodies[rows[r]];
        if ((failed = region(tokens, text, 0, &first, &last))) break;
        for (int64_t token = first; token < last && count < room; token++) {
            int32_t i = lookup_find(&lookup, question, tokens->ids[token], 0);
            if (i >= 0) {
                int32_t start = tokens->starts[token];
                matches[count++] = (kb_match){start, start + tokens->lengths[token], i};
            }
        }
        int64_t words = count, word = begin, run = 0;
        int32_t run_end = 0;
        if ((failed = region(tokens, text, KB_GRAM, &first, &last))) break;
        for (int64_t token = first; token < last && count < room; token++) {
            int32_t i = lookup_find(&lookup, question, tokens->ids[token], KB_GRAM);
            if (i < 0) continue;
            int32_t start = tokens->starts[token], end = start + tokens->lengths[token];
            while (word < words && matches[word].end <= start) word++;
            if (word < words && matches[word].start < end) continue;
            if (run && start >= run_end) {
                if (run == 1 && !(question->flags[matches[count - 1].term] & KB_ASCII)) count--;
                run = 0;
            }
            matches[count++] = (kb_match){start, end, i};
            run_end = end;
            run++;
        }
        if (run == 1 && !(question->flags[matches[count - 1].term] & KB_ASCII)) count--;
        qsort(matches + begin, (size_t)(count - begin), sizeof(kb_match), by_place);
        ends[r] = count;
    }
    free(lookup.table);
    return failed ? failed : count;
}

/* ---- Cosines ------------------------------------------------------------------------------------------------------ */

/* Inner products of some rows of a matrix with a vector. Sixteen sums, added up in one fixed order: equal rows give
 * equal products wherever they stand. */
KB_WIDE int kb_dots(const float *matrix, int64_t height, int64_t width, const int64_t *rows, int64_t n,
                    const float *vector, float *products) {
    for (int64_t r = 0; r < n; r++) {
        if (rows[r] < 0 || rows[r] >= height) return KB_CORRUPT;
        const float *row = matrix + rows[r] * width;
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

/* ---- Features of articles, as kbsearch/features.py names them ------------------------------------------------------ */

typedef struct {
    float value;
    int32_t place;
} kb_ranked;

static int descending(const void *a, const void *b) {
    const kb_ranked *x = a, *y = b;
    if (x->value != y->value) return x->value > y->value ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

/* 1 / (10 + rank among the m values), written into one column of the features. */
static void standing(const float *values, int64_t m, kb_ranked *order, float *column, int64_t stride) {
    for (int64_t i = 0; i < m; i++) order[i] = (kb_ranked){values[i], (int32_t)i};
    qsort(order, (size_t)m, sizeof(kb_ranked), descending);
    for (int64_t i = 0; i < m; i++) column[order[i].place * stride] = (float)(1.0 / (10.0 + (double)i));
}

static float highest(const float *values, int64_t m) {
    float best = values[0];
    for (int64_t i = 1; i < m; i++) best = values[i] > best ? values[i] : best;
    return best;
}

typedef struct {
    float words_ceiling, grams_ceiling;      /* 1 where there is none */
    float cosine_mean, cosine_spread;        /* between passages of the corpus */
    float title_mean, title_spread;          /* between its titles */
    float background_mean[2], background_spread[2]; /* of this question: other scripts, Japanese */
    float japanese;                          /* share of the question's characters */
    int32_t asks_japanese;
    float terms;                             /* ln(1 + number of distinct grams) */
} kb_scale;

enum { KB_FIELDS = 6, KB_FEATURES = 33 };

/* The features of m articles from those of their n rows. `group` is the place of each row's article among the m;
 * features: m * 33. `scratch` has room for 8 * m floats. */
int kb_features(int64_t n, int64_t m, const int64_t *group, const float *words, const float *grams, const float *dense,
                const float *cover, const float *reverse, const float *titles, const uint8_t *japanese,
                const kb_scale *scale, float *scratch, float *features) {
    if (m == 0) return 0;
    float *cosine = scratch, *second = cosine + m, *word = second + m, *gram = word + m, *raw = gram + m,
          *title = raw + m, *language = title + m;
    kb_ranked *order = malloc((size_t)m * sizeof(kb_ranked));
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

/* ---- Boosted trees, as kbsearch/trees.py lays them out -------------------------------------------------------------- */

/* The sum of all trees for each of m rows of features. A tree has `nodes` of them; a node asks its feature, goes to
 * children[2 * node + 1] up to its threshold and to children[2 * node] above; a leaf is its own child. kbsearch/trees.py
 * has seen that features and children are inside. */
KB_WIDE static void trees_of_block(const int32_t *restrict feature, const float *restrict threshold,
                                   const double *restrict value, const int32_t *restrict children, int32_t trees,
                                   int32_t nodes, int32_t depth, const float *restrict block, int32_t width,
                                   double *restrict sums) {
    enum { BLOCK = 16 };
    for (int32_t tree = 0; tree < trees; tree++) {
        int32_t at[BLOCK];
        for (int32_t i = 0; i < BLOCK; i++) at[i] = tree * nodes;
        for (int32_t step = 0; step < depth; step++)
            for (int32_t i = 0; i < BLOCK; i++) {
                int32_t node = at[i];
                at[i] = children[2 * node + (block[i * width + feature[node]] <= threshold[node])];
            }
        for (int32_t i = 0; i < BLOCK; i++) sums[i] += value[at[i]];
    }
}

void kb_trees(const int32_t *feature, const float *threshold, const double *value, const int32_t *children,
              int64_t trees, int64_t nodes, int64_t depth, const float *features, int64_t m, int64_t width,
              double *scores) {
    enum { BLOCK = 16 };
    int64_t whole = m / BLOCK * BLOCK;
    for (int64_t from = 0; from < whole; from += BLOCK) {
        for (int64_t i = 0; i < BLOCK; i++) scores[from + i] = 0;
        trees_of_block(feature, threshold, value, children, (int32_t)trees, (int32_t)nodes, (int32_t)depth,
                       features + from * width, (int32_t)width, scores + from);
    }
    for (int64_t i = whole; i < m; i++) {
        double sum = 0;
        for (int64_t tree = 0; tree < trees; tree++) {
            int64_t at = tree * nodes;
            for (int64_t step = 0; step < depth; step++)
                at = children[2 * at + (features[i * width + feature[at]] <= threshold[at])];
            sum += value[at];
        }
        scores[i] = sum;
    }
}

/* Raised with whatever changes a signature: kbsearch/native.py refuses a library of another number. */
int kb_version(void) { return 1; }
