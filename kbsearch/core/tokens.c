/* What rows have in common with a question: BM25, the overlap with their short fields, the places of the terms. */

#include <stdlib.h>

#include "core.h"

enum { CHUNK = 2048, AHEAD = 4, SHORT = 48, SLOTS = 3 };

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the columns of an index, and the bytes looked at eight at a time, are little-endian"
#endif

typedef struct {
    uint32_t seen[2048]; /* one bit for each value of a hash's low half: nearly all tokens end here */
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
        lookup->seen[(id & 0xFFFF) >> 5] |= 1u << (id & 31);
    }
    return 0;
}

static inline uint32_t lookup_may(const uint32_t *seen, uint32_t id) { return seen[(id & 0xFFFF) >> 5] >> (id & 31) & 1; }

static inline int32_t lookup_find(const kb_lookup *lookup, const kb_question *question, uint32_t id, int gram) {
    for (uint32_t place = id & lookup->mask; lookup->table[place] >= 0; place = (place + 1) & lookup->mask) {
        int32_t i = lookup->table[place];
        if (question->ids[i] == id && (question->flags[i] & KB_GRAM) == gram) return i;
    }
    return -1;
}

/* Which of n ids may be a term: a byte for each. One pass without a branch, for the compiler to widen. */
KB_WIDE static void may_match(const uint32_t *restrict ids, int64_t n, const uint32_t *restrict seen,
                              uint8_t *restrict may) {
    for (int64_t i = 0; i < n; i++) may[i] = (uint8_t)lookup_may(seen, ids[i]);
}

/* A text's tokens that are terms of the question, words first. */
typedef struct {
    int64_t token;
    int32_t term;
} kb_found;

/* Goes on from `at` (begin with `first`), and fills `found` as far as it has room; where it stopped. */
static int64_t find_terms(const kb_tokens *tokens, const kb_lookup *lookup, const kb_question *question, int64_t at,
                          int64_t middle, int64_t last, kb_found *found, int64_t *count, int64_t room) {
    uint8_t may[CHUNK + 8];
    int64_t n = 0;
    while (at < last && n + CHUNK <= room) {
        int64_t size = last - at < CHUNK ? last - at : CHUNK;
        const uint32_t *ids = tokens->ids + at;
        if (size <= SHORT) {
            for (int64_t i = 0; i < size; i++) may[i] = (uint8_t)lookup_may(lookup->seen, ids[i]);
        } else {
            may_match(ids, size, lookup->seen, may);
        }
        memset(may + size, 0, 8);
        for (int64_t from = 0; from < size; from += 8) {
            uint64_t eight;
            memcpy(&eight, may + from, sizeof eight);
            for (; eight; eight &= eight - 1) {
                int64_t i = from + __builtin_ctzll(eight) / 8;
                int32_t term = lookup_find(lookup, question, ids[i], at + i < middle ? 0 : KB_GRAM);
                if (term >= 0) found[n++] = (kb_found){at + i, term};
            }
        }
        at += size;
    }
    *count = n;
    return at;
}

/* Rows lie all over a file, and each leads to others: what rows further on will need is asked for now.
 * Inlined always: a function without any effect but this one is taken out by GCC. */
__attribute__((always_inline)) static inline void fetch_ahead(const kb_tokens *tokens, const int64_t *rows, int64_t n, int64_t at) {
    if (at + 4 * AHEAD < n && rows[at + 4 * AHEAD] >= 0 && rows[at + 4 * AHEAD] < tokens->n_rows)
        __builtin_prefetch(tokens->rows + rows[at + 4 * AHEAD]);
    for (int64_t step = 3; step; step--) {
        if (at + step * AHEAD >= n) continue;
        int64_t number = rows[at + step * AHEAD];
        if (number < 0 || number >= tokens->n_rows) continue;
        const kb_row *row = tokens->rows + number;
        for (uint32_t part = row->parts; part < row->parts_end && part < tokens->n_parts && part < row->parts + 6; part++) {
            if (step == 3) {
                __builtin_prefetch(tokens->parts + part);
                continue;
            }
            uint32_t text = tokens->parts[part].text;
            if (text >= tokens->n_texts) continue;
            if (step == 2) {
                __builtin_prefetch(tokens->texts + text);
                continue;
            }
            int64_t first, middle, last;
            if (kb_region(tokens, text, &first, &middle, &last)) continue;
            last = last < first + 512 ? last : first + 512;
            for (int64_t id = first; id < last; id += 16) __builtin_prefetch(tokens->ids + id);
        }
    }
}

/* What finds a question's terms, made once for all rows. */
struct kb_finder {
    kb_lookup lookup;
    kb_found hits[2 * CHUNK];
};

KB_HIDDEN kb_finder *kb_open_finder(const kb_question *question) {
    kb_finder *finder = malloc(sizeof *finder);
    if (finder && !lookup_open(&finder->lookup, question)) return finder;
    free(finder);
    return NULL;
}

KB_HIDDEN void kb_close_finder(kb_finder *finder) {
    if (finder) free(finder->lookup.table);
    free(finder);
}

/* What a text and the question have in common: distinct terms of each stream, and their idf. */
typedef struct {
    uint32_t text; /* how many texts were read before it, and itself */
    int32_t terms[2];
    double idf[2];
} kb_shared;

/* `met`: for each term the text in which it was met last. */
static inline void share(kb_shared *shared, uint32_t *met, const kb_question *question, int32_t term) {
    if (met[term] == shared->text) return;
    int gram = question->flags[term] & KB_GRAM;
    met[term] = shared->text;
    shared->terms[gram]++;
    shared->idf[gram] += question->idf[term];
}

/* BM25 of each row in both streams, and what title, heading and alias share with the question.
 * words, grams: rows; cover, reverse: rows * 6, in the order of tokens.SLOTS. */
int kb_describe(const kb_tokens *tokens, const kb_question *question, const int64_t *rows, int64_t n, float *words,
                float *grams, float *cover, float *reverse) {
    int failed = 0;
    kb_finder *finder = kb_open_finder(question);
    uint64_t *counts = calloc((size_t)question->n + 1, sizeof(uint64_t));
    int32_t *touched = malloc(((size_t)question->n + 1) * sizeof(int32_t));
    uint32_t *met = calloc((size_t)question->n + 1, sizeof(uint32_t)), texts = 0;
    if (!finder || !counts || !touched || !met) failed = KB_NO_MEMORY;
    double total[2] = {0, 0};
    for (int64_t i = 0; i < question->n; i++) total[question->flags[i] & KB_GRAM] += question->idf[i];
    float *bm25[2] = {words, grams};
    int64_t first, middle, last, many;
    for (int64_t r = 0; r < n && !failed; r++) {
        int64_t row = rows[r];
        if (row < 0 || row >= tokens->n_rows) { failed = KB_CORRUPT; break; }
        fetch_ahead(tokens, rows, n, r);
        const kb_row *here = tokens->rows + row;
        if (here->parts > here->parts_end || here->parts_end > tokens->n_parts) { failed = KB_CORRUPT; break; }
        kb_shared shared[SLOTS];
        int32_t found = 0, known = 0; /* slots that were read: title, heading and alias are most often parts as well */
        for (const kb_piece *part = tokens->parts + here->parts; part < tokens->parts + here->parts_end; part++) {
            if ((failed = kb_region(tokens, part->text, &first, &middle, &last))) break;
            uint32_t weight = part->weight;
            if (!weight) continue; /* no writer writes one: a term would be touched again and again */
            kb_shared own = {.text = ++texts};
            int32_t slots = 0;
            for (int slot = 0; slot < SLOTS; slot++) slots |= (here->slots[slot] == part->text) << slot;
            while (first < last) {
                first = find_terms(tokens, &finder->lookup, question, first, middle, last, finder->hits, &many, 2 * CHUNK);
                for (int64_t k = 0; k < many; k++) {
                    int32_t i = finder->hits[k].term;
                    if (!counts[i]) touched[found++] = i;
                    counts[i] += weight;
                    if (slots) share(&own, met, question, i);
                }
            }
            for (int slot = 0; slot < SLOTS; slot++)
                if (slots >> slot & 1) shared[slot] = own;
            known |= slots;
        }
        double norm[2], score[2] = {0, 0};
        for (int gram = 0; gram < 2; gram++) {
            double length = here->lengths[gram], mean = question->mean_length[gram];
            norm[gram] = question->k1 * (1 - question->b + question->b * length / (mean > 0 ? mean : 1));
        }
        for (int32_t k = 0; k < found; k++) {
            int32_t i = touched[k], gram = question->flags[i] & KB_GRAM;
            score[gram] += (double)question->idf[i] * question->boost[i] * (1 + question->k1) * (double)counts[i] /
                           ((double)counts[i] + norm[gram]);
            counts[i] = 0;
        }
        for (int gram = 0; gram < 2; gram++) bm25[gram][r] = (float)score[gram];
        for (int slot = 0; slot < SLOTS && !failed; slot++) {
            if ((failed = kb_region(tokens, here->slots[slot], &first, &middle, &last))) break;
            if (!(known >> slot & 1)) shared[slot] = (kb_shared){.text = ++texts};
            while (!(known >> slot & 1) && first < last) {
                first = find_terms(tokens, &finder->lookup, question, first, middle, last, finder->hits, &many, 2 * CHUNK);
                for (int64_t k = 0; k < many; k++) share(shared + slot, met, question, finder->hits[k].term);
            }
            for (int gram = 0; gram < 2; gram++) {
                uint32_t terms = tokens->texts[here->slots[slot]].distinct[gram];
                double mass = shared[slot].idf[gram];
                cover[6 * r + 2 * slot + gram] = (float)(total[gram] > 0 ? mass / total[gram] : 0);
                reverse[6 * r + 2 * slot + gram] = (float)shared[slot].terms[gram] / (float)(terms ? terms : 1);
            }
        }
    }
    free(counts);
    free(touched);
    free(met);
    kb_close_finder(finder);
    return failed;
}

static int by_place(const void *a, const void *b) {
    const kb_match *x = a, *y = b;
    if (x->start != y->start) return x->start < y->start ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return (x->term > y->term) - (x->term < y->term);
}

/* Where the question's terms stand in the body of a row: words, and grams where no matched word lies and two grams in a
 * row agree (a single pair of characters is chance, a word in Latin letters is not). In the order of the places, `room`
 * of them at most; answers how many there are. */
KB_HIDDEN int64_t kb_find(kb_finder *finder, const kb_tokens *tokens, const kb_question *question, int64_t row,
                          kb_match *matches, int64_t room) {
    int64_t count = 0, words = 0, word = 0, run = 0, first, middle, last, many;
    int32_t run_end = 0;
    if (row < 0 || row >= tokens->n_rows) return KB_CORRUPT;
    if (kb_region(tokens, tokens->rows[row].body, &first, &middle, &last)) return KB_CORRUPT;
    while (first < last && count < room) {
        first = find_terms(tokens, &finder->lookup, question, first, middle, last, finder->hits, &many, 2 * CHUNK);
        for (int64_t k = 0; k < many && count < room; k++) {
            int64_t token = finder->hits[k].token;
            int32_t i = finder->hits[k].term, start = tokens->starts[token], end = start + tokens->lengths[token];
            if (token < middle) {
                matches[count++] = (kb_match){start, end, i};
                words = count;
                continue;
            }
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
    }
    if (run == 1 && !(question->flags[matches[count - 1].term] & KB_ASCII)) count--;
    qsort(matches, (size_t)count, sizeof *matches, by_place);
    return count;
}

/* The same of n rows. matches: in the order of the rows, `room` of them at most; ends: rows, where those of each end. */
int64_t kb_matches(const kb_tokens *tokens, const kb_question *question, const int64_t *rows, int64_t n,
                   kb_match *matches, int64_t room, int64_t *ends) {
    kb_finder *finder = kb_open_finder(question);
    int64_t count = finder ? 0 : KB_NO_MEMORY;
    for (int64_t r = 0; r < n && count >= 0; r++) {
        int64_t found = kb_find(finder, tokens, question, rows[r], matches + count, room - count);
        count = found < 0 ? found : count + found;
        ends[r] = count;
    }
    kb_close_finder(finder);
    return count;
}
